"""A worker that trains nothing: `python -m tests.simulated`. It speaks the verbs and imports no torch.

A trial's loss is a closed form of its initial LR and its step, so that a search over it means something.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import sys
import time
from dataclasses import dataclass, field
from typing import Any

from etude.work import HttpVerbs
from search_spaces.problems import Problem, StoreUnavailable
from search_spaces.work import (
    Announcement,
    ClaimedTrial,
    ClaimRequest,
    FinishItem,
    FinishRequest,
    Held,
    OfferedHorizon,
    OfferedTask,
    RenewRequest,
    Report,
    ReportItem,
    ReportRequest,
    TaskVersion,
    Verbs,
)
from store import open_store
from store.verbs import SqlVerbs
from tests.dying import die_with_parent
from workers.timing import Backoff, Timing

OFFER = OfferedTask(
    name="simulated",
    version="1",
    metric="loss",
    direction="minimize",
    horizon=OfferedHorizon(epochs=20, steps_per_epoch=5),
)

REPORT_STEPS = 5
"""Between two reports."""


def loss(trial: ClaimedTrial, step: int) -> float:
    """Smallest at an initial LR of 0.01; falls with the steps; the seed adds a little."""
    distance = abs(math.log10(trial.candidate.initial_lr) + 2)
    noise = random.Random(f"{trial.seed}-{trial.candidate.initial_lr}").uniform(0, 0.01)
    return distance + noise + 1 / (1 + step)


def patiently(act: Any, *arguments: Any) -> Any:
    """Repeat a verb through an outage."""
    pauses = Backoff(0.05, 1.0)
    while True:
        try:
            return act(*arguments)
        except StoreUnavailable:
            time.sleep(pauses.pause())


@dataclass
class Simulated:
    """One worker: its verbs, and its pace in seconds and steps."""

    verbs: Verbs
    name: str
    pause: float
    """Before each report."""
    every: int
    """Steps between two reports."""
    lease: float
    heartbeat: float
    announced: float = field(default=0.0, init=False)

    def work(self, idle: float) -> None:
        """Claim and train, one trial at a time, until there has been nothing to claim for so long."""
        last, count = time.monotonic(), 0
        while time.monotonic() - last < idle:
            self.give_a_sign_of_life()
            count += 1
            tasks = [TaskVersion(name=OFFER.name, version=OFFER.version)]
            request = ClaimRequest(worker=self.name, claim_id=f"{self.name}-{os.getpid()}-{count}", tasks=tasks)
            claimed = patiently(self.verbs.claim, request).items
            for trial in claimed:
                self.train(trial)
                last = time.monotonic()
            if not claimed:
                time.sleep(max(0.05, self.pause / 10))

    def give_a_sign_of_life(self) -> None:
        """Announce the worker, when the last time was a heartbeat ago."""
        if not self.announced or time.monotonic() - self.announced >= self.heartbeat:
            patiently(self.verbs.announce, self.name, Announcement(slots=1, tasks=[OFFER]))
            self.announced = time.monotonic()

    def train(self, trial: ClaimedTrial) -> None:
        """Report now and then, obey the directive, finish."""
        key: dict[str, Any] = {"study": trial.study, "number": trial.number, "lease": trial.lease}
        for step in range(self.every, trial.horizon_steps + 1, self.every):
            self.compute(Held(**key))
            item = ReportItem(**key, reports=[Report(step=step, value=loss(trial, step))], worker_seconds=self.pause)
            answer = patiently(self.verbs.report, ReportRequest(worker=self.name, items=[item])).items[0]
            if not answer.accepted or answer.directive in ("prune", "stop"):
                return
        steps = trial.horizon_steps
        end = FinishItem(**key, state="complete", value=loss(trial, steps), steps_done=steps)
        patiently(self.verbs.finish, FinishRequest(worker=self.name, items=[end]))

    def compute(self, held: Held) -> None:
        """Let the time of some steps pass: with heartbeats, and a renewal for every third of the lease."""
        end = time.monotonic() + self.pause
        renewed = time.monotonic()
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, self.lease / 3, self.heartbeat))
            self.give_a_sign_of_life()
            if time.monotonic() - renewed >= self.lease / 3:
                patiently(self.verbs.renew, RenewRequest(worker=self.name, items=[held]))
                renewed = time.monotonic()


def main() -> int:
    """Work until nothing has been proposed for `--idle` seconds."""
    given = _parser().parse_args()
    if given.processes == 1:
        return live(given, given.name)
    children = [_fork(given, f"{given.name}-{place}") for place in range(given.processes)]
    return max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0 for child in children)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    parser.add_argument("--database")
    parser.add_argument("--url")
    parser.add_argument("--name", default=f"simulated-{os.getpid()}")
    parser.add_argument("--pause", type=float, default=0.0, help="seconds before each report")
    parser.add_argument("--every", type=int, default=REPORT_STEPS, help="steps between two reports")
    parser.add_argument("--idle", type=float, default=10.0)
    parser.add_argument("--lease-seconds", type=float, default=60.0)
    parser.add_argument("--heartbeat", type=float, default=5.0)
    parser.add_argument("--processes", type=int, default=1, help="workers, each a process of its own")
    return parser


def _fork(given: argparse.Namespace, name: str) -> int:
    """Start one of many workers: a process with memory and connections of its own, that needs no second import."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            die_with_parent()
            status = live(given, name)
        finally:
            os._exit(status)
    time.sleep(0.1)
    return child


def live(given: argparse.Namespace, name: str) -> int:
    """Be one worker, from its first connection to its last."""
    verbs = _verbs(given)
    try:
        Simulated(verbs, name, given.pause, given.every, given.lease_seconds, given.heartbeat).work(given.idle)
    except Problem as problem:
        sys.stderr.write(f"{problem}\n")
        return 1
    finally:
        verbs.close()
    return 0


def _verbs(given: argparse.Namespace) -> Verbs:
    if given.url:
        return HttpVerbs(given.url)
    store = patiently(
        lambda: open_store(given.database, pool_size=1, lease_seconds=given.lease_seconds, keeps_plans=True)
    )
    return SqlVerbs(store, rest_seconds=Timing.rest)


if __name__ == "__main__":
    sys.exit(main())
