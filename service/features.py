"""Candidates as vectors: a model that compares them sees their LR curves, not the names of their schedules.

Two schedules of different kinds that draw the same curve train alike, so what one has shown is known of the other: a
cosine tells of a linear schedule, an exponential of a step schedule with small steps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from search_spaces.candidate import Candidate
from search_spaces.problems import Unsupported
from search_spaces.ranges import AnyRange, Choice, FloatRange, Scalar
from search_spaces.schedules import factors
from search_spaces.space import Space

PARTS = 8
"""Of the horizon: the curve is read as its mean over each."""
POINTS = 4
"""At which a part is read."""
FLOOR = 1e-3
"""Of the initial LR: what lies below is as good as zero."""
LEVEL, SHAPE, OPTIMIZER, OTHERS = range(4)
"""Groups of features, each with a length scale of its own."""

Vector = NDArray[np.float64]


class Features:
    """The vectors of a space's points at a horizon.

    The mean over the curve of log LR; by how much each part of the curve differs from it; the optimizer; every other
    parameter that is no part of the curve, by its place in its range. LRs of different optimizers are compared by
    their places in their ranges. With momentum m a step goes on for 1 / (1 - m) steps: that is part of the LR.
    """

    def __init__(self, space: Space, horizon_steps: int) -> None:
        self._optimizers = list(space.optimizers)
        self._middles = {kind: _middle(ranges["lr"]) for kind, ranges in space.optimizers.items()}
        ranges = space.ranges()
        self._others = {name: ranges[name] for name in ranges if self._is_other(name)}
        read = (np.arange(PARTS * POINTS) + 0.5) / (PARTS * POINTS) * horizon_steps
        self._steps = np.minimum(read.astype(np.int64), horizon_steps - 1)
        self._horizon = horizon_steps
        sizes = (1, PARTS, len(self._optimizers), len(self._others))
        self.groups = np.repeat((LEVEL, SHAPE, OPTIMIZER, OTHERS), sizes)
        """(d,): each feature's group."""

    def of(self, points: Sequence[tuple[Candidate, Mapping[str, Scalar]]]) -> Vector:
        """Return the vectors of candidates with their parameters: (n, d)."""
        return np.array([self._vector(candidate, params) for candidate, params in points])

    def _vector(self, candidate: Candidate, params: Mapping[str, Scalar]) -> list[float]:
        kind = candidate.optimizer.kind
        level = math.log(candidate.initial_lr) - self._middles[kind]
        momentum = params.get(f"{kind}.momentum")
        if isinstance(momentum, float):
            level -= math.log1p(-momentum)
        parts = self._parts(candidate)
        mean = float(parts.mean())
        others = [place_in(range_, params[name]) if name in params else 0.5 for name, range_ in self._others.items()]
        return [
            level + mean,
            *((parts - mean) / math.sqrt(PARTS)).tolist(),
            *(float(kind == one) for one in self._optimizers),
            *others,
        ]

    def _parts(self, candidate: Candidate) -> Vector:
        """Return the logarithm of each part's mean factor; of a schedule without a curve of its own that of 1."""
        try:
            curve = factors(candidate.schedule, self._steps, self._horizon)
        except Unsupported:
            return np.zeros(PARTS)
        means: Vector = np.log(np.maximum(curve.reshape(PARTS, POINTS).mean(axis=1), FLOOR))
        return means

    def _is_other(self, name: str) -> bool:
        part, _, own = name.partition(".")
        if part in self._optimizers:
            return own != "lr"
        return part in ("plateau", "lr_ratios", "horizon")


def _middle(range_: AnyRange) -> float:
    """Return the middle of an LR's range, as a logarithm."""
    ends = [end for end in range_.ends if isinstance(end, int | float)]
    return float(np.mean([math.log(end) for end in ends]))


def place_in(range_: AnyRange, value: Scalar) -> float:
    """Return a value's place in its range, on the range's own scale: 0 to 1."""
    if isinstance(range_, Choice):
        return (range_.index(value) or 0) / max(1, len(range_.choices) - 1)
    assert isinstance(value, int | float)
    low, high, own = float(range_.low), float(range_.high), float(value)
    if isinstance(range_, FloatRange) and (range_.log or range_.one_minus):
        low, high, own = (math.log1p(-x) if range_.one_minus else math.log(x) for x in (low, high, own))
    return (own - low) / (high - low) if high != low else 0.5
