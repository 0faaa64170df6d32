"""Trainings outside any study, through an engine as the worker's loop uses it: what measurements of tasks need."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from etude.task import Task, task_version
from search_spaces.candidate import Candidate
from search_spaces.work import ClaimedTask, ClaimedTrial

from .engine import Attempt, Engine


@dataclass(frozen=True)
class Wanted:
    """A candidate to be trained to its horizon."""

    candidate: Candidate
    steps: int
    seed: int


def train(engine: Engine, task: Task, wanted: Iterable[Wanted]) -> Iterator[tuple[Wanted, float | None]]:
    """Train all, as many at once as the engine takes; yield each with its last decision metric, None if it failed."""
    waiting = iter(wanted)
    training: dict[Attempt, Wanted] = {}
    while True:
        while len(training) < engine.size and (each := next(waiting, None)) is not None:
            attempt = Attempt(_claimed(task, each, len(training)))
            training[attempt] = each
            engine.enter(attempt)
        if not training:
            return
        for attempt in engine.advance(lambda: False):
            if attempt.complete or attempt.error is not None:
                yield training.pop(attempt), attempt.value if attempt.complete else None


def _claimed(task: Task, wanted: Wanted, number: int) -> ClaimedTrial:
    return ClaimedTrial(
        study="measurement",
        number=number,
        lease="",
        lease_expires_at=datetime.now(UTC),
        candidate=wanted.candidate,
        task=ClaimedTask(name=task.name, version=task_version(type(task)), params=task.params.model_dump()),
        horizon_steps=wanted.steps,
        rungs=[],
        seed=wanted.seed,
        purpose="search",
    )
