"""Simulated workers: they train nothing, and speak the verbs at the pace of real ones. They import no torch."""

from __future__ import annotations

import http.client
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from pydantic import BaseModel

from benchmarks.coordination import STEPS
from search_spaces.problems import Problem, StoreUnavailable
from search_spaces.work import (
    Announcement,
    ClaimAnswer,
    ClaimedTrial,
    ClaimRequest,
    FinishItem,
    FinishRequest,
    ReleaseRequest,
    RenewRequest,
    ReportRequest,
    VerbAnswer,
    Verbs,
)
from tests.studies import OFFER, TASKS, report, report_item

HEARTBEAT_SECONDS = 10.0
IDLE_SECONDS = 0.2, 2.0
"""First and longest pause of a worker that finds nothing to claim; each is twice the one before."""
Made = TypeVar("Made")


class Seen:
    """When each verb was called, how long it took in milliseconds, and what went wrong."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, float, float]] = []
        self.errors: list[tuple[float, str]] = []

    def timed(self, name: str, act: Callable[[], Made]) -> Made | None:
        """Do it and keep how long it took; None when it failed."""
        began = time.perf_counter()
        try:
            made = act()
        except Problem as problem:
            self.errors.append((began, f"{name}: {problem}"))
            return None
        self.calls.append((name, began, 1000 * (time.perf_counter() - began)))
        return made


@dataclass
class Worker:
    """A simulated worker: trains nothing, and says so at the pace of a real one."""

    verbs: Verbs
    name: str
    study: str
    pace: float
    """Seconds between reports; 0 is flat out."""
    seen: Seen
    stop: threading.Event
    announced: float = field(default=float("-inf"), init=False)
    due: float = field(default=0.0, init=False)

    def work(self, phase: float) -> None:
        """Claim and train until stopped; the first report is `phase` seconds away."""
        self.due = time.perf_counter() + phase
        self.stop.wait(phase)
        pause = IDLE_SECONDS[0]
        while not self.stop.is_set():
            self._announce()
            asked = ClaimRequest(worker=self.name, claim_id=uuid.uuid4().hex, tasks=TASKS, study=self.study)
            claimed = self.seen.timed("claim", partial(self.verbs.claim, asked))
            if claimed is not None and claimed.items:
                self._train(claimed.items[0])
                pause = IDLE_SECONDS[0]
            else:
                self.seen.calls.append(("idle", time.perf_counter(), 0.0))
                self.stop.wait(pause)
                pause = min(2 * pause, IDLE_SECONDS[1])
        self.verbs.close()

    def _announce(self) -> None:
        if time.perf_counter() - self.announced > HEARTBEAT_SECONDS:
            self.announced = time.perf_counter()
            self.seen.timed("announce", lambda: self.verbs.announce(self.name, Announcement(tasks=[OFFER])))

    def _train(self, trial: ClaimedTrial) -> None:
        """Report 20 times, or until told to prune; then finish."""
        level = 0.9 - trial.number * 1e-6  # better than all before it, so that none is pruned
        for step in STEPS:
            if self._rest():
                return
            item = report_item(trial, (step, level))
            answers = self.seen.timed("report", partial(report, self.verbs, item, worker=self.name))
            if answers is not None and answers[0].directive != "continue":
                return
            self._announce()
        end = FinishItem(
            study=trial.study,
            number=trial.number,
            lease=trial.lease,
            state="complete",
            value=level,
            steps_done=trial.horizon_steps,
        )
        self.seen.timed("finish", lambda: self.verbs.finish(FinishRequest(worker=self.name, items=[end])))

    def _rest(self) -> bool:
        """Wait for the next report's moment; tell whether to stop. A worker that is late does not make up for it."""
        self.due = max(self.due + self.pace, time.perf_counter())
        return self.stop.wait(self.due - time.perf_counter())


class Wire:
    """A `Verbs` over HTTP on one connection kept alive, with as little in between as can be.

    `etude.work.HttpVerbs` takes three times the CPU for a call; a hundred workers have a hundred machines for that,
    and here one core for everything.
    """

    def __init__(self, url: str) -> None:
        self._connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)

    def announce(self, worker: str, announcement: Announcement) -> None:
        """Store the worker's offer and its sign of life."""
        self._send("PUT", f"/v1/workers/{worker}", announcement)

    def claim(self, request: ClaimRequest) -> ClaimAnswer:
        """Lease proposed trials to the worker."""
        return ClaimAnswer.model_validate_json(self._send("POST", "/v1/work/claim", request))

    def renew(self, request: RenewRequest) -> VerbAnswer:
        """Prolong leases."""
        return VerbAnswer.model_validate_json(self._send("POST", "/v1/work/renew", request))

    def report(self, request: ReportRequest) -> VerbAnswer:
        """Store reports, settle rungs, decide on pruning, prolong leases."""
        return VerbAnswer.model_validate_json(self._send("POST", "/v1/work/report", request))

    def finish(self, request: FinishRequest) -> VerbAnswer:
        """End trials."""
        return VerbAnswer.model_validate_json(self._send("POST", "/v1/work/finish", request))

    def release(self, request: ReleaseRequest) -> VerbAnswer:
        """Give trials back to be proposed again."""
        return VerbAnswer.model_validate_json(self._send("POST", "/v1/work/release", request))

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _send(self, method: str, path: str, body: BaseModel) -> bytes:
        try:
            self._connection.request(method, path, body.model_dump_json(), {"Content-Type": "application/json"})
            response = self._connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise StoreUnavailable(repr(error)) from error
        if response.status >= http.client.BAD_REQUEST:
            raise Problem(f"{response.status}: {answer[:200]!r}")
        return answer
