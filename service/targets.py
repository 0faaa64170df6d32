"""The fewest steps in which an arm gets to a target, on each fresh seed of the confirmation.

Between a tenth of T and T the horizon is halved in its logarithm three times: an arm is trained redrawn for the middle,
and where it got to the target the next one is shorter, else longer. Between the last horizon that missed the target and
the first that reached it the metric is read against log T. So every arm is treated alike, whatever the search has
found, and each seed gives a value of its own, in steps: what the verdict compares are these.

What lies beyond either end is put at that end, which can only make two arms more alike than they are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from search_spaces.target import Target

MIDDLES = 3
"""Horizons that are tried between the ends: they leave a bracket of a third, read to one or two in a hundred."""
ROUNDS = MIDDLES + 1
"""Trainings of an arm on a seed, at most: where every middle was on one side, that end follows."""
TRAINED_SHARE = 1.2
"""Of T: what these trainings cost on average over where the target is reached, all parts of the range as likely."""


@dataclass(frozen=True)
class Bracket:
    """Where on one seed the target is reached, as far as that is known."""

    low: int
    """The longest horizon known to miss it, or the shortest that is tried."""
    high: int
    """The shortest known to reach it, or T."""
    wanted: int | None
    """The horizon to be trained next; None once there is none."""


def bracket(target: Target, ended: Mapping[int, float]) -> Bracket:
    """Return how far a seed's trainings have come: `ended` has the metric at the end by horizon, nan where it failed.

    >>> target = Target(metric="loss", direction="minimize", value=0.5, horizon_steps=100)
    >>> bracket(target, {}), bracket(target, {32: 0.4}).wanted, bracket(target, {32: 0.6}).wanted
    (Bracket(low=10, high=100, wanted=32), 18, 57)
    """
    low, high = target.least_steps, target.horizon_steps
    for _ in range(MIDDLES):
        middle = round(math.sqrt(low * high))
        if not low < middle < high:
            break
        if middle not in ended:
            return Bracket(low, high, middle)
        low, high = (low, middle) if is_reached(target, ended[middle]) else (middle, high)
    ends = {low, high} & {target.least_steps, target.horizon_steps}
    return Bracket(low, high, next((end for end in sorted(ends) if end not in ended), None))


def is_reached(target: Target, metric: float) -> bool:
    """Tell whether a training whose metric ended so got to the target; nan did not."""
    return target.shortfall(metric) <= 0


def steps_to(target: Target, ended: Mapping[int, float]) -> float:
    """Return the whole steps to the target on one seed, all its trainings ended; inf where T is too short for it."""
    found = bracket(target, ended)
    low, high = ended.get(found.low, math.nan), ended.get(found.high, math.nan)
    if not is_reached(target, high):
        return math.inf
    if is_reached(target, low):
        return found.low
    short, beyond = target.shortfall(low), -target.shortfall(high)
    # A shorter training that failed says nothing of how near it would have come.
    share = short / (short + beyond) if math.isfinite(short) and short + beyond > 0 else 1.0
    return math.ceil(found.low * math.pow(found.high / found.low, share) - 1e-9)
