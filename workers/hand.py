"""All trials that this worker holds: one verb speaks for all of them, and what is said is said until it is heard."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from threading import Lock
from typing import TypeVar

from search_spaces.log import bind
from search_spaces.problems import Problem, StoreUnavailable
from search_spaces.work import FinishItem, ItemAnswer, ReleaseItem, ReportItem

from .engine import Attempt
from .held import RELEASED, HeldTrial
from .link import Link
from .saving import Saving
from .timing import Backoff, Stop, Timing

Item = TypeVar("Item", ReportItem, FinishItem, ReleaseItem)


class Hand:
    """The trials in training, and those that have ended here and whose finish is not yet acknowledged."""

    def __init__(
        self, link: Link, saving: Saving, stop: Stop, timing: Timing, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._link = link
        self._saving = saving
        self._stop = stop
        self._timing = timing
        self._clock = clock
        self._log = bind(__name__, worker=link.worker)
        self.claimed = 0
        """Trials taken so far."""
        self.ended: Counter[str] = Counter()
        """Trials put down so far, by the event that ended them."""
        self._training: dict[Attempt, HeldTrial] = {}
        self._ended: list[HeldTrial] = []
        self._returned: list[HeldTrial] = []
        """Those that are to be proposed again: their training has ended through no fault of theirs."""
        self._at_rung = False
        self._shared_at = 0.0
        self._retry = Backoff(timing.first_retry, timing.longest_retry)
        self._retry_at = 0.0
        self._renew_at = 0.0
        self._giving_back = Lock()

    @property
    def in_training(self) -> int:
        """Number of trials in training."""
        return len(self._training)

    def take(self, attempt: Attempt) -> None:
        """Hold a claimed trial, with the state from which it goes on, if it has one."""
        if not self._training:
            self._shared_at = self._clock()
        held = self._training[attempt] = HeldTrial(attempt, self._link.worker, self._timing)
        self.claimed += 1
        self._saving.begin(attempt)
        held.begin()
        claimed, start = attempt.claimed, attempt.steps_done or None
        held.log.info("claimed", purpose=claimed.purpose, steps=claimed.horizon_steps, start=start)

    def watch(self, attempts: Iterable[Attempt]) -> Callable[[], bool]:
        """Return what tells whether one of the trials is not ours any more; it is asked between two steps."""
        trials = [self._training[attempt] for attempt in attempts]
        return lambda: any(held.ended is not None for held in trials)

    def share(self, steps: Mapping[Attempt, int]) -> float:
        """Share the time since the last call among trials by the steps that they made, and return it in seconds.

        So the worker-seconds of all trials add up to the time in which the worker had any.
        """
        now = self._clock()
        elapsed, self._shared_at = now - self._shared_at, now
        total = sum(steps.values())
        for attempt, made in steps.items():
            self._training[attempt].seconds_owed += elapsed * (made / total if total else 1 / len(steps))
        return elapsed

    def keep(self, attempts: Iterable[Attempt]) -> None:
        """Take new evaluations as reports; at a rung the trial's state is saved from time to time."""
        for held in (self._training[attempt] for attempt in attempts):
            held.keep()
            # The last reports go with the finish.
            if held.is_at_rung and not held.attempt.complete:
                self._at_rung = True
                self._saving.save_if_due(held)

    def end(self, attempts: Iterable[Attempt]) -> None:
        """Note that trainings have ended by themselves: their finish is due. One that was lost is left to its owner."""
        for attempt in attempts:
            if self._training[attempt].ended is None:
                self._ended.append(self._training.pop(attempt))

    def put_back(self, attempts: Iterable[Attempt]) -> None:
        """Note that trainings have ended through no fault of their trials: they are given back to be proposed again."""
        for attempt in attempts:
            if self._training[attempt].ended is None:
                self._returned.append(self._training.pop(attempt))

    def speak(self) -> None:
        """Finish what has ended, and report at a rung or when the oldest report has waited long enough.

        While the store is away all of it is kept, and the training goes on.
        """
        if time.monotonic() < self._retry_at:
            return
        try:
            self._finish()
            self._report_if_due()
        except StoreUnavailable:
            self._retry_at = time.monotonic() + self._retry.pause()
        else:
            self._retry_at = 0.0
            self._retry.reset()

    def settle(self) -> list[Attempt]:
        """Put down the trials that are not ours any more, and return them."""
        gone = [held for held in self._training.values() if held.ended is not None]
        for held in gone:
            del self._training[held.attempt]
            self._put_down(held, str(held.ended))
        return [held.attempt for held in gone]

    def finish_all(self) -> None:
        """Finish what has ended; goes on trying until the store has answered."""
        if self._ended or self._returned:
            self._until_answered(self._finish)

    def give_back(self) -> None:
        """Finish what has ended and release the rest with its state saved, within the grace period."""
        for held in self._training.values():
            if self._stop.is_late:
                break
            if held.ended is None:
                self._saving.save(held)
        with self._giving_back:
            self.finish_all()
            self._report_saved()
            self._until_answered(self._release)
        self.settle()

    def look_after(self) -> None:
        """Called from the background: renew leases, and give back in time what the training thread cannot."""
        self._renew_old()
        if self._stop.is_late and self._giving_back.acquire(blocking=False):
            try:
                self._release()
            except StoreUnavailable:
                return  # tried again when this is called the next time
            finally:
                self._giving_back.release()

    # Verbs

    def _finish(self) -> None:
        """Finish the trials that have ended, and release those that are to be proposed again."""
        if self._returned:
            trials = self._returned
            self._exchange(trials, [held.release() for held in trials], self._link.release)
            self._returned = []
            for held in trials:
                self._put_down(held, held.ended or RELEASED)
        if not self._ended:
            return
        trials = self._ended
        self._exchange(trials, [held.finish() for held in trials], self._link.finish)
        self._ended = []
        for held in trials:
            self._put_down(held, held.ended or held.outcome)

    def _put_down(self, held: HeldTrial, event: str) -> None:
        self.ended[event] += 1
        self._saving.gone(held, event)
        held.log_end(event)

    def _report_if_due(self) -> None:
        trials = [held for held in self._training.values() if held.unsent and held.ended is None]
        now = time.monotonic()
        if self._at_rung or any(now - held.oldest_unsent >= self._timing.report for held in trials):
            self._report(trials)
            self._at_rung = False

    def _report_saved(self) -> None:
        """Send the reports of trials that go on from a checkpoint: nobody makes them again."""
        try:
            self._report([held for held in self._training.values() if held.checkpoint and held.ended is None])
        except StoreUnavailable:
            return  # the release matters more

    def _report(self, trials: Sequence[HeldTrial]) -> None:
        if trials:
            self._exchange(trials, [held.report() for held in trials], self._link.report)

    def _release(self) -> None:
        trials = [held for held in list(self._training.values()) if held.ended is None]
        if not trials:
            return
        self._exchange(trials, [held.release() for held in trials], self._link.release)
        for held in trials:
            held.ended = held.ended or RELEASED

    def _exchange(
        self, trials: Sequence[HeldTrial], items: Sequence[Item], verb: Callable[[Sequence[Item]], list[ItemAnswer]]
    ) -> None:
        for held, item, answer in zip(trials, items, verb(items), strict=True):
            held.acknowledge(item)
            if not isinstance(item, FinishItem):
                self._saving.acknowledged(held.claimed, item.checkpoint)
            held.take(answer)

    def _renew_old(self) -> None:
        """Renew in one verb, once a lease is a third gone: that one, and those that would follow soon."""
        trials = [
            held for held in [*list(self._training.values()), *self._ended, *self._returned] if held.ended is None
        ]
        if time.monotonic() < self._renew_at or all(held.lease_age < held.lease_seconds / 3 for held in trials):
            return
        older = [held for held in trials if held.lease_age >= held.lease_seconds / 6]
        self._renew_at = time.monotonic() + min(held.lease_seconds for held in older) / 6
        try:
            for held, answer in zip(older, self._link.renew([held.held() for held in older]), strict=True):
                held.take(answer)
        except StoreUnavailable:
            return  # the next renewal, or the next report, comes soon enough
        except Problem as problem:
            self._log.warning("renewal_refused", code=problem.code, detail=problem.detail)

    def _until_answered(self, act: Callable[[], None]) -> None:
        """Try until the store answers, or until the grace period of a stopping worker is over."""
        self._retry.reset()
        while True:
            try:
                act()
            except StoreUnavailable:
                if not self._stop.pause(self._retry.pause()):
                    self._log.warning("left_behind", reason="the store cannot be reached; the leases will expire")
                    return
            else:
                return
