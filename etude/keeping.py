"""One leased trial of a training loop that is not ours: its lease kept, its reports sent, its end acknowledged.

What the loop says is kept until the service has heard it, in the order in which it was said. While the service is away
the training goes on; a thread in the background tries again, and renews the lease when the loop is silent.
"""

from __future__ import annotations

import logging
import os
import random
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Event, RLock, Thread
from typing import Any

from search_spaces.problems import Problem, StoreUnavailable
from search_spaces.work import (
    ClaimedTrial,
    FinishItem,
    FinishRequest,
    Held,
    ItemAnswer,
    ReleaseItem,
    ReleaseRequest,
    RenewRequest,
    Report,
    ReportItem,
    ReportRequest,
    Verbs,
)

log = logging.getLogger(__name__)

ERROR_CHARACTERS = 4000
"""Of a traceback, the end: that is where the reason stands."""
LONGEST_LEASE_SECONDS = 60.0
"""A lease is renewed as if it were no longer; one that ends sooner is believed."""
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 2.0
LOOK_SECONDS = 0.5
DROPPED_SECONDS = 1.0
"""So long after a loop has let go of its trials the open one is given back, unless an exception is known by then."""
ENDING = {"prune": "pruned", "stop": "stopped"}
"""Directives after which the trial is no longer ours; any other means: go on."""


class Keeper:
    """Keeps one trial at a time, in the name of one worker."""

    def __init__(self, verbs: Verbs, worker: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.worker = worker
        self.trial: Kept | None = None
        self.refused: Problem | None = None
        """What the service said to the thread in the background; raised where the loop calls next."""
        self.process = os.getpid()
        self._verbs = verbs
        self._clock = clock
        self._lock = RLock()
        self._pause = FIRST_PAUSE_SECONDS
        self._retry_at = 0.0
        self._dropped_at: float | None = None
        self._closed = Event()
        self._thread = Thread(target=self._look_after, name="etude-lease", daemon=True)
        self._thread.start()

    @property
    def closed(self) -> bool:
        """Whether nothing is kept any more."""
        return self._closed.is_set()

    @property
    def away(self) -> bool:
        """Whether the service could not be reached last time."""
        return self._retry_at > 0.0

    def take(self, claimed: ClaimedTrial) -> Kept:
        """Keep a trial that has just been claimed."""
        with self._lock:
            self.trial = Kept(claimed, self._clock)
            return self.trial

    def speak(self, *, even_now: bool = False) -> bool:
        """Tell the service what it does not know yet; True when nothing is left to say.

        While the service is away nothing is sent before the next pause is over, unless it has to be `even_now`.

        Raises:
            Problem: the service refuses what was said.
        """
        # While the service is away the loop does not wait for the thread that finds out whether it still is.
        if not self._lock.acquire(blocking=even_now or not self.away):
            return False
        try:
            self._raise_refusal()
            if self.trial is None or self.trial.is_told:
                return True
            if not even_now and self._clock() < self._retry_at:
                return False
            return self._tell(self.trial)
        finally:
            self._lock.release()

    def drop(self) -> None:
        """Note that the loop has let go of its trials."""
        self._dropped_at = self._clock()

    def close(self, seconds: float) -> None:
        """Give an open trial back, say what is unsaid within `seconds`, and end."""
        with self._lock:
            if self.trial is not None:
                self.trial.release()
            try:
                self._tell_within(seconds)
            finally:
                self._closed.set()
                self._verbs.close()

    def _tell_within(self, seconds: float) -> None:
        give_up = self._clock() + seconds
        while not self.speak(even_now=True):
            if self._clock() >= give_up:
                log.warning("the service is away: a trial was left to its lease, which will expire")
                return
            time.sleep(min(self._pause, max(0.0, give_up - self._clock())))

    # In the background

    def _look_after(self) -> None:
        while not self._closed.wait(LOOK_SECONDS):
            try:
                self._look()
            except Problem as problem:
                self.refused = problem

    def _look(self) -> None:
        with self._lock:
            if self._dropped_at is not None and self._clock() - self._dropped_at >= DROPPED_SECONDS:
                self._give_back()
            elif self.trial is not None and self.refused is None and self._clock() >= self._retry_at:
                if not self.trial.is_told:
                    self._tell(self.trial)
                elif self.trial.is_due:
                    self._renew(self.trial)

    def _give_back(self) -> None:
        """Release what nobody trains any more, as soon as the service hears it."""
        if self.trial is not None:
            self.trial.release()
        if self.speak():
            self.close(seconds=0.0)

    def _raise_refusal(self) -> None:
        if self.refused is not None:
            problem, self.refused, self.trial = self.refused, None, None
            raise problem

    # The verbs

    def _tell(self, trial: Kept) -> bool:
        item = trial.item()
        answer = self._send(lambda: self._say(item))
        if answer is not None:
            trial.acknowledge(item, answer)
        return trial.is_told

    def _say(self, item: FinishItem | ReleaseItem | ReportItem) -> ItemAnswer:
        if isinstance(item, FinishItem):
            return self._verbs.finish(FinishRequest(worker=self.worker, items=[item])).items[0]
        if isinstance(item, ReleaseItem):
            return self._verbs.release(ReleaseRequest(worker=self.worker, items=[item])).items[0]
        return self._verbs.report(ReportRequest(worker=self.worker, items=[item])).items[0]

    def _renew(self, trial: Kept) -> None:
        request = RenewRequest(worker=self.worker, items=[trial.held()])
        answer = self._send(lambda: self._verbs.renew(request).items[0])
        if answer is not None:
            trial.hear(answer)

    def _send(self, call: Callable[[], ItemAnswer]) -> ItemAnswer | None:
        """Call the service; None where it is away, and then not again before a pause that doubles is over."""
        try:
            answer = call()
        except StoreUnavailable as problem:
            if not self.away:
                log.warning("the service is away, the training goes on: %s", problem.detail)
            # Jitter: loops that lost the same service must not come back in step.
            self._retry_at = self._clock() + self._pause * random.uniform(0.5, 1.0)
            self._pause = min(LONGEST_PAUSE_SECONDS, 2 * self._pause)
            return None
        self._retry_at, self._pause = 0.0, FIRST_PAUSE_SECONDS
        return answer


class Kept:
    """What is known of a leased trial, and what the service has not yet been told of it."""

    def __init__(self, claimed: ClaimedTrial, clock: Callable[[], float]) -> None:
        self.claimed = claimed
        self.ended: str | None = None
        """How it has ended, as the loop or the service has said; None while it is open."""
        self.last_step = 0
        self._clock = clock
        self._reports: list[Report] = []
        self._end: dict[str, Any] | None = None
        """What the service is still to be told of the end: the fields of a finish, none for a release."""
        self._paid_until = self._heard_at = clock()
        left = (claimed.lease_expires_at - datetime.now(UTC)).total_seconds()
        # The clock of the service may differ from ours, hence the lower bound.
        self._lease_seconds = max(min(LONGEST_LEASE_SECONDS, left), LONGEST_LEASE_SECONDS / 10)

    @property
    def is_told(self) -> bool:
        """Whether the service knows everything."""
        return self._end is None and (not self._reports or self.ended is not None)

    @property
    def is_due(self) -> bool:
        """Whether a third of the lease is gone, so that it has to be renewed."""
        return self.ended is None and self._clock() - self._heard_at >= self._lease_seconds / 3

    def report(self, step: int, value: float) -> None:
        """Keep a report until it is heard."""
        if self.ended is None:
            self._reports.append(Report(step=step, value=value))
            self.last_step = max(self.last_step, step)

    def complete(self, value: float, metrics: dict[str, float]) -> None:
        """End as trained to the horizon."""
        steps = self.claimed.horizon_steps
        self._end_as("complete", {"state": "complete", "value": value, "steps_done": steps, "metrics": metrics})

    def fail(self, error: str) -> None:
        """End as failed, with the reason."""
        self._end_as("failed", {"state": "failed", "error": error, "steps_done": self.last_step})

    def release(self) -> None:
        """Give it back; nothing happens to one that has ended."""
        self._end_as("released", {})

    def held(self) -> Held:
        """The item that prolongs the lease."""
        return Held(study=self.claimed.study, number=self.claimed.number, lease=self.claimed.lease)

    def item(self) -> FinishItem | ReleaseItem | ReportItem:
        """What has to be said next: the reports, alone or with the end."""
        held = self.held().model_dump() | {"worker_seconds": self._clock() - self._paid_until}
        # Without a checkpoint of ours an attempt begins at step 0, whatever an earlier one has saved.
        begun = {"resumed_step": 0} if self.claimed.checkpoint is not None else {}
        if self._end is None:
            return ReportItem(**held, **begun, reports=list(self._reports))
        if not self._end:
            return ReleaseItem(**held, **begun)
        return FinishItem(**held, **begun, reports=list(self._reports), **self._end)

    def acknowledge(self, item: FinishItem | ReleaseItem | ReportItem, answer: ItemAnswer) -> None:
        """Forget what the service knows now."""
        self._paid_until += item.worker_seconds
        if isinstance(item, ReportItem):
            # In place: the loop may be adding one at this very moment.
            del self._reports[: len(item.reports)]
        else:
            self._end = None
        self.hear(answer)

    def hear(self, answer: ItemAnswer) -> None:
        """Note what the service says of the trial."""
        self._heard_at = self._clock()
        if not answer.accepted:
            self.ended, self._end = "lost", None
        elif self.ended is None:
            self.ended = ENDING.get(answer.directive or "")

    def _end_as(self, how: str, said: dict[str, Any]) -> None:
        if self.ended is None:
            self.ended, self._end = how, said


def reason_of(error: BaseException) -> str:
    """Return the end of an exception's traceback, as a database column takes it."""
    written = "".join(traceback.format_exception(error))[-ERROR_CHARACTERS:]
    return written.encode("utf-8", "backslashreplace").decode("utf-8").replace("\x00", "\\x00")
