"""Whether a trial passes a rung: pure functions of its value and of the values of others at that rung."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from search_spaces.study import PrunerSpec
from search_spaces.work import Report


def passes(value: float, others: Sequence[float], pruner: PrunerSpec, direction: str) -> bool:
    """Tell whether a trial with `value` goes on beyond a rung at which `others` have been seen.

    `halving` keeps the best `keep` of all values at the rung, this one among them (asynchronous successive
    halving); `median` keeps what is no worse than the median of the others. A rung with fewer than
    `startup_trials` other values lets everything pass. A value that is nan passes nowhere.

    >>> passes(0.3, [0.1, 0.2, 0.4, 0.5, 0.6], PrunerSpec(kind="median"), "minimize")
    True
    """
    if pruner.kind == "none" or len(others) < pruner.startup_trials:
        return True
    own = _cost(value, direction)
    seen = sorted(_cost(other, direction) for other in others)
    if pruner.kind == "median":
        return own <= _median(seen)
    ranked = sorted([*seen, own])
    kept = max(1, math.floor(pruner.keep * len(ranked)))
    return own <= ranked[kept - 1] and own < math.inf


PHASE_SHARE = 1 / 3
"""Of the values at a rung: those nearest in phase, which one of `phase` is compared with."""


class Seen(NamedTuple):
    """A value at a rung, and how far the schedule of its trial had come there."""

    value: float
    phase: float | None = None

    @classmethod
    def read(cls, written: str) -> Seen:
        """Read `value` or `value:phase`, as the store's statement writes it."""
        value, _, phase = written.partition(":")
        return cls(float(value), float(phase) if phase else None)


def at_phase(own: Seen, seen: Sequence[Seen], least: int) -> list[float]:
    """Return the values, `own` among the `seen` once left out, that it is compared with.

    Without a phase that is all of them; with one the nearest third in phase, and at least so many as a rung asks for.
    """
    others = _without(own, seen)
    phase = own.phase
    if phase is None:
        return [other.value for other in others]
    count = max(least, math.ceil(PHASE_SHARE * len(others)))
    nearest = sorted(others, key=lambda other: math.inf if other.phase is None else abs(other.phase - phase))
    return [other.value for other in nearest[:count]]


def _without(own: Seen, seen: Sequence[Seen]) -> list[Seen]:
    """Leave out one's own value, which stands last among those alike; nan is no exception."""
    for place in range(len(seen) - 1, -1, -1):
        value, phase = seen[place]
        if phase == own.phase and (value == own.value or (math.isnan(value) and math.isnan(own.value))):
            return [*seen[:place], *seen[place + 1 :]]
    return list(seen)


BESIDE = ("averaged", "cooldown")
"""Fidelities that compare another value beside the raw one at a rung, which stands in where a worker has none."""


def own_reports(fidelity: str, reports: Sequence[Report]) -> list[Report]:
    """Return those of which a rung takes the first at or after it: by step, with `rescaled` whole trainings first."""
    kinds = ("rescaled", "raw") if fidelity == "rescaled" else ("raw",)
    return [
        report
        for kind in kinds
        for report in sorted((one for one in reports if one.kind == kind), key=lambda one: one.step)
    ]


def own_step(reports: Sequence[Report], default: int = 0) -> int:
    """Return the last step of the trial's own training that is reported."""
    return max((report.step for report in reports if report.kind != "rescaled"), default=default)


def compared(fidelity: str, reached: Report, reports: Sequence[Report], direction: str) -> float:
    """Return what a trial is compared by at a rung where its own training showed `reached`."""
    beside = {report.step: report.value for report in reports if report.kind == fidelity}
    value = beside.get(reached.step, reached.value) if fidelity in BESIDE else reached.value
    return better(reached.value, value, direction) if fidelity == "averaged" else value


def better(first: float, second: float, direction: str) -> float:
    """Return the better of two values, nan being worse than any."""
    return min(first, second, key=lambda value: _cost(value, direction))


def _cost(value: float, direction: str) -> float:
    """The value as something to minimize, nan as the worst of all."""
    if math.isnan(value):
        return math.inf
    return value if direction == "minimize" else -value


def _median(ordered: Sequence[float]) -> float:
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
