"""A trial that this worker holds: its lease, its reports until they are acknowledged, and how it ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Literal, TypedDict

from search_spaces.problems import Problem, StoreUnavailable
from search_spaces.work import ClaimedTrial, FinishItem, Held, ItemAnswer, ReleaseItem, Report, ReportItem

from .link import Link
from .log import bind
from .periodic import repeating
from .timing import Backoff, Stop, Timing

ENDING: dict[str, Literal["prune", "stop"]] = {"prune": "prune", "stop": "stop"}
"""Directives after which the trial is no longer ours; any other means: go on."""


class Key(TypedDict):
    """What every item of a verb begins with."""

    study: str
    number: int
    lease: str


class HeldTrial:
    """One claimed trial, as the worker sees it. The store decides; this keeps what it has not yet been told."""

    def __init__(self, claimed: ClaimedTrial, link: Link, stop: Stop, timing: Timing) -> None:
        self.claimed = claimed
        self.log = bind(__name__, worker=link.worker, study=claimed.study, number=claimed.number)
        self.ended: str | None = None
        """Why the trial is not ours any more: `prune`, `stop`, `lost`; None while it is."""
        self._key = Key(study=claimed.study, number=claimed.number, lease=claimed.lease)
        self._link = link
        self._stop = stop
        self._timing = timing
        self._unsent: list[Report] = []
        self._claimed_at = self._oldest_unsent = self._accounted = self._prolonged = time.monotonic()
        self._retry = Backoff(timing.first_retry, timing.longest_retry)
        self._retry_at = 0.0

    @property
    def seconds(self) -> float:
        """Seconds since the claim."""
        return time.monotonic() - self._claimed_at

    def keep(self, report: Report) -> None:
        """Take a report, to be sent with the next verb."""
        if not self._unsent:
            self._oldest_unsent = time.monotonic()
        self._unsent.append(report)

    def report_if_due(self, *, at_rung: bool) -> None:
        """Send the reports kept at a rung, or when the oldest has waited long enough.

        While the store is away they are kept and the training goes on.
        """
        now = time.monotonic()
        due = at_rung or self._retry_at > 0 or now - self._oldest_unsent >= self._timing.report
        if due and now >= self._retry_at:
            self._send_reports()

    def finish(
        self,
        state: Literal["complete", "failed"],
        steps_done: int,
        *,
        value: float | None = None,
        metrics: dict[str, float] | None = None,
        error: str | None = None,
    ) -> None:
        """End the trial with the reports not yet sent; goes on trying until the store has answered."""

        def send() -> ItemAnswer:
            item = FinishItem(
                **self._key, state=state, value=value, steps_done=steps_done, error=error,
                metrics=metrics or {}, reports=self._unsent, worker_seconds=self._unaccounted(),
            )  # fmt: skip
            return self._link.finish(item)

        self._until_answered(send)

    def release(self) -> None:
        """Give the trial back to be trained by another worker."""
        self._until_answered(lambda: self._link.release(ReleaseItem(**self._key, worker_seconds=self._unaccounted())))

    @contextmanager
    def renewed(self) -> Iterator[None]:
        """Keep the lease alive from the background: a renewal for every third of it without another verb."""
        third = self._lease_seconds() / 3
        with repeating(lambda: self._renew_if_older(third), third / 2, f"lease-{self.claimed.number}"):
            yield

    def _lease_seconds(self) -> float:
        # The store may grant less than this worker is told; its clock may also differ from ours, hence the bounds.
        left = (self.claimed.lease_expires_at - datetime.now(UTC)).total_seconds()
        return max(min(self._timing.lease, left), self._timing.lease / 10)

    def _renew_if_older(self, seconds: float) -> None:
        if self.ended or time.monotonic() - self._prolonged < seconds / 2:
            return
        try:
            self._take(self._link.renew(Held(**self._key)))
        except StoreUnavailable:
            return  # the next renewal, or the next report, comes soon enough
        except Problem as problem:
            self.log.warning("renewal_refused", code=problem.code, detail=problem.detail)

    def _send_reports(self) -> None:
        seconds = self._unaccounted()
        try:
            answer = self._link.report(ReportItem(**self._key, reports=self._unsent, worker_seconds=seconds))
        except StoreUnavailable:
            self._retry_at = time.monotonic() + self._retry.pause()
            return
        self._unsent = []
        self._accounted += seconds
        self._retry_at = 0.0
        self._retry.reset()
        self._take(answer)

    def _until_answered(self, send: Callable[[], ItemAnswer]) -> None:
        """Try until the store answers, or until the grace period of a stopping worker is over."""
        self._retry.reset()
        while True:
            try:
                self._take(send())
            except StoreUnavailable:
                if not self._stop.pause(self._retry.pause()):
                    self.log.warning("left_behind", reason="the store cannot be reached; the lease will expire")
                    return
            else:
                return

    def _take(self, answer: ItemAnswer) -> None:
        self._prolonged = time.monotonic()
        if not answer.accepted:
            self.ended = "lost"
        elif self.ended is None:
            self.ended = ENDING.get(answer.directive or "")

    def _unaccounted(self) -> float:
        return time.monotonic() - self._accounted
