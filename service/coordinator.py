"""The coordinator: keeps proposals ahead of the workers, and takes each study from queued to its answer.

It holds nothing that the store does not hold: killed at any moment, it or another one goes on where the store says.
Every step may be taken twice; the second time changes nothing.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable

from search_spaces.log import bind, bound
from search_spaces.problems import Problem, StoreUnavailable
from store import Store
from store.claims import sweep_expired
from store.coordinators import beat, say_goodbye
from store.owning import OWN_SECONDS
from store.studies import LiveStudy, disown, own

from .dashboard_updates import DashboardUpdates
from .pulse import nothing
from .steps import step

log = bind(__name__)

BUSY_SECONDS, IDLE_SECONDS = 0.1, 1.0
"""Pause after a round that changed something, and the longest of those after rounds that did not."""
IDLE_GROWTH = 1.25
"""By which a pause is longer than the last: nothing new waits for more than a quarter of the time without news."""
SWEEP_SECONDS = 1.0
BEAT_SECONDS = 5.0
"""Between two signs of life: readiness and metrics go by them."""
FIRST_OUTAGE_SECONDS, OUTAGE_SECONDS = 0.4, 5.0
"""First and longest pause while the store is away; a deadlock or a lock not got is over at once."""


class Coordinator:
    """Works on every live study that no other coordinator owns; `owner` is its name in the store.

    `pulse` is called at every round, whether the store is there or away.
    """

    def __init__(self, store: Store, owner: str | None = None, *, pulse: Callable[[], None] = nothing) -> None:
        self.store = store
        self._pulse = pulse
        self.owner = owner or f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._swept_at = self._beaten_at = float("-inf")
        self._failing: set[str] = set()
        """Studies whose latest step has failed."""
        self._dashboard = DashboardUpdates(store)

    def work(self, stop: threading.Event, news: threading.Event | None = None) -> None:
        """Work until `stop` is set, through outages of the store; then give the studies up.

        `news` ends a pause: a study was submitted or changed. Whoever sets `stop` sets it as well.
        """
        pause = BUSY_SECONDS
        while not stop.is_set():
            self._pulse()
            try:
                changed = self.round(stop)
            except StoreUnavailable as problem:
                log.warning("store_unavailable", detail=problem.detail)
                pause = min(max(2 * pause, FIRST_OUTAGE_SECONDS), OUTAGE_SECONDS)
            else:
                pause = BUSY_SECONDS if changed else min(IDLE_GROWTH * pause, IDLE_SECONDS)
            if (news or stop).wait(pause) and news is not None:
                news.clear()
                pause = BUSY_SECONDS
        self._give_up()

    def give_up_on(self, stop: threading.Event) -> None:
        """Wait for `stop`, then give the studies up at once, whatever step is under way; for a thread of its own."""
        stop.wait()
        self._give_up()

    def round(self, stop: threading.Event | None = None) -> bool:
        """Take one step in every study of this coordinator's; tell whether anything changed.

        Raises:
            StoreUnavailable: the store cannot be reached just now.
        """
        studies = own(self.store, self.owner, OWN_SECONDS)
        changed = self._sweep() if studies else False
        self._failing &= {study.name for study in studies}
        for study in studies:
            if stop is not None and stop.is_set():
                break
            changed = self._step(study) or changed
        self._beat()
        self._dashboard.refresh(studies)
        return changed

    def _step(self, study: LiveStudy) -> bool:
        """Take one study's step; what goes wrong in it must not hold up the others."""
        self._failing.add(study.name)  # until its step is taken
        with bound(study=study.name):
            try:
                changed = step(self.store, study)
            except StoreUnavailable:
                raise
            except Problem as problem:
                log.warning("step_refused", detail=str(problem))
                return False
            except Exception:
                log.exception("step_failed_and_is_taken_again")
                return False
        self._failing.discard(study.name)
        return changed

    def _beat(self) -> None:
        if time.monotonic() - self._beaten_at >= BEAT_SECONDS:
            self._beaten_at = time.monotonic()
            beat(self.store, self.owner, len(self._failing))

    def _sweep(self) -> bool:
        """Return expired leases, of studies that nobody claims too."""
        if time.monotonic() - self._swept_at < SWEEP_SECONDS:
            return False
        self._swept_at = time.monotonic()
        return sweep_expired(self.store) > 0

    def _give_up(self) -> None:
        try:
            disown(self.store, self.owner)
            say_goodbye(self.store, self.owner)
        except StoreUnavailable:
            log.warning("studies_not_given_up", reason="the store is away", owned_seconds=OWN_SECONDS)
