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
from typing import Any

from etude.work import HttpVerbs
from search_spaces.problems import Problem, StoreUnavailable
from search_spaces.work import (
    Announcement,
    ClaimedTrial,
    ClaimRequest,
    FinishItem,
    FinishRequest,
    OfferedHorizon,
    OfferedTask,
    Report,
    ReportItem,
    ReportRequest,
    TaskVersion,
    Verbs,
)
from store import open_store
from store.verbs import SqlVerbs

OFFER = OfferedTask(
    name="simulated",
    version="1",
    metric="loss",
    direction="minimize",
    horizon=OfferedHorizon(epochs=20, steps_per_epoch=5),
)


def loss(trial: ClaimedTrial, step: int) -> float:
    """Smallest at an initial LR of 0.01; falls with the steps; the seed adds a little."""
    distance = abs(math.log10(trial.candidate.initial_lr) + 2)
    noise = random.Random(f"{trial.seed}-{trial.candidate.initial_lr}").uniform(0, 0.01)
    return distance + noise + 1 / (1 + step)


def patiently(act: Any, *arguments: Any) -> Any:
    """Repeat a verb through an outage."""
    wait = 0.05
    while True:
        try:
            return act(*arguments)
        except StoreUnavailable:
            time.sleep(wait)
            wait = min(1.0, wait * 2)


def train(verbs: Verbs, worker: str, trial: ClaimedTrial, pause: float) -> None:
    """Report every five steps, obey the directive, finish."""
    held: dict[str, Any] = {"study": trial.study, "number": trial.number, "lease": trial.lease}
    for step in range(5, trial.horizon_steps + 1, 5):
        time.sleep(pause)
        item = ReportItem(**held, reports=[Report(step=step, value=loss(trial, step))], worker_seconds=pause)
        answer = patiently(verbs.report, ReportRequest(worker=worker, items=[item])).items[0]
        if not answer.accepted or answer.directive in ("prune", "stop"):
            return
    steps = trial.horizon_steps
    end = FinishItem(**held, state="complete", value=loss(trial, steps), steps_done=steps)
    patiently(verbs.finish, FinishRequest(worker=worker, items=[end]))


def main() -> int:
    """Work until nothing has been proposed for `--idle` seconds."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--database")
    parser.add_argument("--url")
    parser.add_argument("--name", default=f"simulated-{os.getpid()}")
    parser.add_argument("--pause", type=float, default=0.0)
    parser.add_argument("--idle", type=float, default=10.0)
    parser.add_argument("--lease-seconds", type=float, default=60.0)
    given = parser.parse_args()
    verbs: Verbs
    if given.url:
        verbs = HttpVerbs(given.url)
    else:
        opened = patiently(lambda: open_store(given.database, pool_size=1, lease_seconds=given.lease_seconds))
        verbs = SqlVerbs(opened)
    patiently(verbs.announce, given.name, Announcement(slots=1, tasks=[OFFER]))
    work(verbs, given.name, given.pause, given.idle)
    verbs.close()
    return 0


def work(verbs: Verbs, name: str, pause: float, idle: float) -> None:
    """Claim and train, one trial at a time."""
    last, count, announced = time.monotonic(), 0, time.monotonic()
    while time.monotonic() - last < idle:
        if time.monotonic() - announced > 5:
            patiently(verbs.announce, name, Announcement(slots=1, tasks=[OFFER]))
            announced = time.monotonic()
        count += 1
        tasks = [TaskVersion(name=OFFER.name, version=OFFER.version)]
        request = ClaimRequest(worker=name, claim_id=f"{name}-{os.getpid()}-{count}", tasks=tasks)
        claimed = patiently(verbs.claim, request).items
        for trial in claimed:
            train(verbs, name, trial, pause)
            last = time.monotonic()
        if not claimed:
            time.sleep(0.05)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Problem as problem:
        sys.stderr.write(f"{problem}\n")
        sys.exit(1)
