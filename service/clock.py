"""The clock of the recurrences: claims due times, writes down how nights ended, and forgets old ones.

It holds nothing that the store does not hold, and any number of clocks may run. Time is the database's.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial

from search_spaces.log import bind
from search_spaces.problems import LeasesInFlight, NotFound, Problem, StoreUnavailable
from store import Store
from store.night_views import beyond_keep, is_there, mark_pruned
from store.nights import OpenNight, claim_due, claim_waiting, conclude_night, due_recurrences, ended_nights
from store.recurrences import Now
from store.studies import delete_study
from store.workers import offers

from .night import begun_waiting, deciding, outcome_of
from .pulse import nothing

log = bind(__name__)

ROUND_SECONDS = 1.0
"""Between two looks: a due time is at most so late, while the store answers."""
OUTAGE_SECONDS = 5.0
FORGET_SECONDS = 60.0
"""Between two looks for nights beyond `keep`."""


class Clock:
    """Looks after every recurrence of a store; `now` is the time to go by, the database's but in tests.

    `pulse` is called at every round, whether the store is there or away.
    """

    def __init__(
        self,
        store: Store,
        now: Now | None = None,
        *,
        nudge: Callable[[], None] | None = None,
        pulse: Callable[[], None] = nothing,
    ) -> None:
        self.store = store
        self.now: Now = now or store.now
        self._nudge = nudge or _nobody
        self._pulse = pulse
        self._forgot_at = float("-inf")

    def work(self, stop: threading.Event) -> None:
        """Work until `stop` is set, through outages of the store."""
        pause = 0.0
        while not stop.wait(pause):
            pause = ROUND_SECONDS
            self._pulse()
            try:
                self.round()
            except StoreUnavailable as problem:
                log.warning("store_unavailable", detail=problem.detail)
                pause = OUTAGE_SECONDS
            except Exception:
                log.exception("clock_round_failed_and_is_taken_again")

    def round(self) -> int:
        """Write down what has ended, then claim what is due; return how many nights were begun or written down.

        Raises:
            StoreUnavailable: the store cannot be reached just now.
        """
        changed = sum(self._conclude(night) for night in ended_nights(self.store))
        for name in due_recurrences(self.store, self.now):
            changed += self._claim(name)
        if changed or time.monotonic() - self._forgot_at >= FORGET_SECONDS:
            self._forgot_at = time.monotonic()
            self._forget()
        return changed

    def _claim(self, name: str) -> int:
        """Claim what one recurrence has due; what goes wrong in it must not hold up the others."""
        try:
            known = offers(self.store)
            begun = int(claim_waiting(self.store, name, partial(begun_waiting, known), self.now))
            begun += claim_due(self.store, name, deciding(known), self.now)
        except StoreUnavailable:
            raise
        except Exception:
            log.exception("due_time_not_claimed_and_tried_again", recurrence=name)
            return 0
        if begun:
            log.info("due", recurrence=name, nights=begun)
            self._nudge()
        return begun

    def _conclude(self, night: OpenNight) -> bool:
        try:
            return conclude_night(self.store, night, outcome_of(night.answer), self.now)
        except StoreUnavailable:
            raise
        except Exception:
            log.exception("night_not_written_down_and_tried_again", study=night.study)
            return False

    def _forget(self) -> None:
        """Delete the studies of nights beyond `keep`; one with trials in training waits."""
        for study in beyond_keep(self.store):
            try:
                if is_there(self.store, study):
                    delete_study(self.store, study, keep_answer=True)
                mark_pruned(self.store, study)
            except (LeasesInFlight, NotFound):
                continue
            except StoreUnavailable:
                raise
            except Problem as problem:
                log.warning("night_not_forgotten", study=study, detail=str(problem))


def _nobody() -> None:
    """A coordinator that is not kept by this process looks by itself."""
