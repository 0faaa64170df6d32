"""What is told to a library that knows neither our spaces nor our trainings: flat parameters, a loss at each report."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from search_spaces.candidate import Candidate
from search_spaces.ranges import AnyRange, FloatRange, Scalar
from search_spaces.space import Space
from service.sampling import on_scale

from .record import RUNGS
from .searchers import Shown

LOSS = "loss"
WORST = 1e9
"""The loss of a training that has diverged, and the largest that is told: neither library has a place for nan."""


def reports(shown: Shown) -> Iterator[tuple[int, float, bool]]:
    """Yield the report's number from 1 to 20, its loss, and whether it is the last.

    A training that diverges reports `WORST` and ends there.
    """
    for number, value in enumerate(shown.raw.tolist(), 1):
        finite = math.isfinite(value)
        yield number, min(value, WORST) if finite else WORST, not finite or number == RUNGS
        if not finite:
            return


def is_complete(shown: Shown, number: int) -> bool:
    """Tell whether a training that ended at this report came to its end."""
    return number == RUNGS and math.isfinite(shown.final)


def candidate_of(space: Space, flat: Mapping[str, Any]) -> tuple[Candidate, dict[str, Scalar]]:
    """Return the point of a space that flat parameters describe, on their scales, and the parameters that apply."""
    return space.suggest(lambda name, allowed: _picked(allowed, flat[name]))


def flat_of(space: Space, params: Mapping[str, Scalar]) -> dict[str, Any]:
    """Return a point's parameters on the scales on which they are searched."""
    ranges = space.ranges()
    return {name: on_scale(ranges[name], value) for name, value in params.items()}


def _picked(allowed: AnyRange, value: Any) -> Scalar:
    """Take a value off its scale, with room for rounding."""
    if isinstance(allowed, FloatRange) and allowed.one_minus:
        value = 1 - value
    if isinstance(allowed, FloatRange):
        return min(max(float(value), allowed.low), allowed.high)
    return allowed.nearest(value)
