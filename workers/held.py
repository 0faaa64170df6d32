"""A trial that this worker holds: its lease, and what the store has not yet been told of it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TypedDict

from search_spaces.log import bind
from search_spaces.work import FinishItem, Held, ItemAnswer, ReleaseItem, Report, ReportItem

from .engine import Attempt, Evaluation
from .failures import DIVERGED
from .timing import Timing

PRUNED, STOPPED, LOST, RELEASED = "pruned", "stopped_by_study", "lease_lost", "released"
ENDING = {"prune": PRUNED, "stop": STOPPED}
"""Directives after which the trial is no longer ours; any other means: go on."""


class Key(TypedDict):
    """What every item of a verb begins with."""

    study: str
    number: int
    lease: str


class HeldTrial:
    """One claimed trial, as the worker sees it. The store decides; this keeps what it has not yet been told."""

    def __init__(self, attempt: Attempt, worker: str, timing: Timing) -> None:
        self.attempt = attempt
        self.claimed = claimed = attempt.claimed
        self.log = bind(__name__, worker=worker, study=claimed.study, trial=claimed.number)
        self.ended: str | None = None
        """The event by which the trial is not ours any more; None while it is."""
        self.unsent: list[Report] = []
        """Reports that the store has not acknowledged, oldest first."""
        self.oldest_unsent = 0.0
        self.is_at_rung = False
        """Whether its latest evaluation stands at a step where trials are compared, or has passed one."""
        self._kept: Evaluation | None = None
        self.seconds_owed = 0.0
        """The worker's time that the store has not been told of."""
        self.checkpoint: str | None = None
        """Where the latest state is saved, until the store knows it."""
        self.saved_at = self._began_at = 0
        self._extra_told = 0
        self.prolonged = self.claimed_at = time.monotonic()
        self.lease_seconds = self._lease_seconds(timing.lease)
        self._key = Key(study=claimed.study, number=claimed.number, lease=claimed.lease)

    @property
    def began_at(self) -> int:
        """The step at which this attempt has begun."""
        return self._began_at if self.attempt.start else 0

    def begin(self) -> None:
        """Note where the attempt begins: called once it has its state."""
        start = self.attempt.start
        self._began_at = 0 if start is None or "shorter" in start else start["step"]
        self.saved_at = self.attempt.updates

    @property
    def lease_age(self) -> float:
        """Seconds since the store last heard of the trial."""
        return time.monotonic() - self.prolonged

    def keep(self) -> None:
        """Take the attempt's evaluation as a report, to be sent with the next verb, unless that was done before."""
        evaluation = self.attempt.evaluation
        assert evaluation is not None
        if evaluation is self._kept:
            return
        before, self._kept = self._kept.step if self._kept else self.began_at, evaluation
        if evaluation.step <= before:
            before = 0  # its own training has begun, behind one that ended at a rung
        passed = any(before < rung <= evaluation.step for rung in self.claimed.rungs)
        self.is_at_rung = passed or evaluation.cooldown is not None
        if not self.unsent:
            self.oldest_unsent = time.monotonic()
        self.unsent.append(Report(step=evaluation.step, value=evaluation.value, kind=evaluation.kind))
        if evaluation.averaged is not None:
            self.unsent.append(Report(step=evaluation.step, value=evaluation.averaged, kind="averaged"))
        if evaluation.cooldown is not None:
            self.unsent.append(Report(step=evaluation.step, value=evaluation.cooldown, kind="cooldown"))

    def take(self, answer: ItemAnswer) -> None:
        """Note what the store says of the trial."""
        self.prolonged = time.monotonic()
        if not answer.accepted:
            self.ended = LOST
        elif self.ended is None:
            self.ended = ENDING.get(answer.directive or "")

    def acknowledge(self, sent: ReportItem | FinishItem | ReleaseItem) -> None:
        """Forget what the store knows now."""
        if not isinstance(sent, ReleaseItem):
            self.unsent = self.unsent[len(sent.reports) :]
        if not isinstance(sent, FinishItem) and sent.checkpoint == self.checkpoint:
            self.checkpoint = None
        self.seconds_owed -= sent.worker_seconds
        self._extra_told += sent.extra_steps

    def log_end(self, event: str) -> None:
        """Write the trial's last event."""
        attempt, seconds = self.attempt, time.monotonic() - self.claimed_at
        self.log.info(event, steps=attempt.steps_done, value=attempt.value, reason=attempt.reason, seconds=seconds)

    @property
    def outcome(self) -> str:
        """The event of a training that has ended by itself."""
        if self.attempt.error is None:
            return "complete"
        return DIVERGED if self.attempt.error == DIVERGED else "failed"

    @property
    def _resumed(self) -> int | None:
        """What the store is told of a trial that was saved before."""
        return self.began_at if self.claimed.checkpoint is not None else None

    @property
    def _extra_owed(self) -> int:
        """Updates beside the trial's own training that the store has not been told of."""
        return self.attempt.extra_steps - self._extra_told

    def held(self) -> Held:
        """The item that prolongs the lease."""
        return Held(**self._key)

    def report(self) -> ReportItem:
        """The item with all reports kept."""
        return ReportItem(
            **self._key, reports=self.unsent, checkpoint=self.checkpoint, resumed_step=self._resumed,
            worker_seconds=max(0.0, self.seconds_owed), extra_steps=self._extra_owed,
        )  # fmt: skip

    def finish(self) -> FinishItem:
        """The item that ends the trial, with the reports not yet sent."""
        attempt = self.attempt
        complete = attempt.error is None
        return FinishItem(
            **self._key, state="complete" if complete else "failed", value=attempt.value if complete else None,
            steps_done=attempt.steps_done, error=attempt.error, metrics=attempt.metrics if complete else {},
            reports=self.unsent, resumed_step=self._resumed, worker_seconds=max(0.0, self.seconds_owed),
            extra_steps=self._extra_owed,
        )  # fmt: skip

    def release(self) -> ReleaseItem:
        """The item that gives the trial back, to go on from its latest checkpoint."""
        return ReleaseItem(
            **self._key, checkpoint=self.checkpoint, resumed_step=self._resumed,
            worker_seconds=max(0.0, self.seconds_owed), extra_steps=self._extra_owed,
        )  # fmt: skip

    def _lease_seconds(self, told: float) -> float:
        # The store may grant less than this worker is told; its clock may also differ from ours, hence the bounds.
        left = (self.claimed.lease_expires_at - datetime.now(UTC)).total_seconds()
        return max(min(told, left), told / 10)
