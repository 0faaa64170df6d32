"""The worker's loop: announce, claim, train, report, obey, finish. The same over SQL and over HTTP."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping

from etude.task import Task, offer
from search_spaces.problems import Problem, StoreUnavailable
from search_spaces.work import Announcement, ClaimedTrial, Report, TaskVersion, Verbs

from .attempt import Attempt, Shelf
from .held import HeldTrial
from .link import Link
from .log import bind
from .periodic import repeating
from .timing import Backoff, Stop, Timing


class Worker:
    """Trains the trials of the tasks it offers, one at a time, until it is asked to stop."""

    def __init__(
        self,
        name: str,
        verbs: Verbs,
        tasks: Mapping[str, type[Task]],
        *,
        stop: Stop | None = None,
        timing: Timing | None = None,
        device: str = "cpu",
    ) -> None:
        self.timing = timing or Timing()
        self.stop = stop or Stop(self.timing.grace)
        self._link = Link(verbs, name)
        self._shelf = Shelf(tasks, device)
        self._announcement = Announcement(devices=[device], tasks=[offer(task) for task in tasks.values()])
        self._versions = [
            TaskVersion(name=offered.name, version=offered.version)
            for offered in self._announcement.tasks
            if offered.available
        ]
        self._log = bind(__name__, worker=name)
        self._claim_id = _fresh_claim_id()
        self._retry = Backoff(self.timing.first_retry, self.timing.longest_retry)
        self._idle = Backoff(self.timing.first_idle, self.timing.longest_idle)

    def work(self) -> None:
        """Work until asked to stop, or until there has been nothing to do for the drain period.

        Raises:
            Problem: the service refuses what the worker says; trying again would not help.
        """
        self._log.info("started", tasks=",".join(version.name for version in self._versions))
        self._say_hello()
        try:
            with repeating(self._heartbeat, self.timing.heartbeat, "heartbeat"):
                self._claim_and_train()
        finally:
            self._link.close()
        self._log.info("stopped", asked=self.stop.asked)

    def _say_hello(self) -> None:
        while not self.stop.asked:
            try:
                self._link.announce(self._announcement)
            except StoreUnavailable:
                self.stop.idle(self._retry.pause())
            else:
                self._retry.reset()
                return

    def _heartbeat(self) -> None:
        try:
            self._link.announce(self._announcement)
        except StoreUnavailable:
            return  # the link has said so; the next heartbeat comes soon enough
        except Problem as problem:
            self._log.warning("heartbeat_refused", code=problem.code, detail=problem.detail)

    def _claim_and_train(self) -> None:
        last_busy = time.monotonic()
        while not self.stop.asked:
            claimed = self._claim()
            for trial in claimed:
                self._serve(trial)
            if claimed:
                last_busy = time.monotonic()
            elif self.timing.drain is not None and time.monotonic() - last_busy >= self.timing.drain:
                return

    def _claim(self) -> list[ClaimedTrial]:
        """Claim one trial, or wait a little when there is none.

        An attempt whose answer may be lost is repeated under the same id, which gets the same answer.
        """
        try:
            trials = self._link.claim(self._claim_id, self._versions, 1)
        except StoreUnavailable:
            self.stop.idle(self._retry.pause())
            return []
        self._claim_id = _fresh_claim_id()
        self._retry.reset()
        if trials:
            self._idle.reset()
        else:
            self.stop.idle(self._idle.pause())
        return trials

    def _serve(self, claimed: ClaimedTrial) -> None:
        """Train one trial and end it, give it back, or drop it when it is no longer ours."""
        held = HeldTrial(claimed, self._link, self.stop, self.timing)
        held.log.info("claimed", purpose=claimed.purpose, steps=claimed.horizon_steps)
        attempt = Attempt(claimed, self._shelf)
        with held.renewed():
            self._train(held, attempt)
            event = self._end(held, attempt)
        held.log.info(event, steps=attempt.steps_done, value=attempt.value, reason=attempt.reason, seconds=held.seconds)

    def _train(self, held: HeldTrial, attempt: Attempt) -> None:
        claimed = held.claimed
        for evaluation in attempt.evaluations(lambda: self.stop.asked or held.ended is not None):
            held.keep(Report(step=evaluation.step, value=evaluation.value))
            # The last reports go with the finish.
            if evaluation.step < claimed.horizon_steps:
                held.report_if_due(at_rung=evaluation.step in claimed.rungs)

    def _end(self, held: HeldTrial, attempt: Attempt) -> str:
        """Tell the store how the trial ended; return the event's name."""
        if held.ended is not None:
            return {"prune": "pruned", "stop": "stopped_by_study", "lost": "lease_lost"}[held.ended]
        if attempt.error is not None:
            held.finish("failed", attempt.steps_done, error=attempt.error)
            return "diverged" if attempt.error == "diverged" else "failed"
        if not attempt.complete:
            held.release()
            return "released"
        held.finish("complete", attempt.steps_done, value=attempt.value, metrics=attempt.metrics)
        return "complete"


def _fresh_claim_id() -> str:
    return uuid.uuid4().hex
