"""Where a training stops to be judged: at the end of each epoch (or as its task says), at rungs, at the horizon."""

from __future__ import annotations

from collections.abc import Iterable

from etude.task import Task


def cadence(task: Task | type[Task]) -> int:
    """Return the updates between two regular evaluations."""
    return task.evaluation_steps or task.steps_per_epoch


def regular_evaluations(task: Task | type[Task], horizon_steps: int) -> int:
    """Return how many evaluations a schedule that follows the metric is fed."""
    return max(1, horizon_steps // cadence(task))


def stops_from(task: Task | type[Task], horizon_steps: int, rungs: Iterable[int], step: int = 0) -> list[int]:
    """Return the stops after update `step`, in order; the horizon always, for without its value nothing is finished."""
    regular = range(cadence(task), horizon_steps, cadence(task))
    stops = {*regular, *(rung for rung in rungs if 0 < rung < horizon_steps), horizon_steps}
    return sorted(stop for stop in stops if stop > step or stop == horizon_steps)
