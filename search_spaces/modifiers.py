"""What may be put around a schedule's body: a warm-up in front, restarts, and playing it backwards.

The order is fixed: the body, reversed if asked; that played `restarts.count` times; the warm-up in front, so that
the body runs over the steps that the warm-up leaves, and its fractions are of those.
"""

from __future__ import annotations

from fractions import Fraction as Ratio
from itertools import accumulate
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from .model import Model, ProblemValue
from .problems import InvalidSpec
from .steps import whole_steps

Floats = NDArray[np.float64]
Steps = NDArray[np.int64]


class Warmup(Model):
    """A rise to the body's first value over the first w = whole_steps(fraction, T) steps.

    The body's first value is multiplied by start_factor + (1 - start_factor) v, where v = (t + 1) / w if `inclusive`
    and t / w if not; `cosine` puts (1 - cos(pi v)) / 2 in place of v; `exponential` multiplies by
    start_factor^(1 - v); `constant` by start_factor throughout.

    >>> Warmup(fraction=0.1).curve(np.arange(4), 4).tolist()
    [0.25, 0.5, 0.75, 1.0]

    Source: Goyal et al., arXiv:1706.02677; He et al., arXiv:1812.01187.
    """

    fraction: Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
    """Length as a fraction of the horizon, in (0, 1)."""
    start_factor: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.0
    shape: Literal["linear", "cosine", "exponential", "constant"] = "linear"
    inclusive: bool = True
    """Whether the first update is one step up already, so that none is wasted at LR 0."""

    @model_validator(mode="after")
    def _exponential_starts_above_0(self) -> Warmup:
        if self.shape == "exponential" and self.start_factor == 0:
            raise ProblemValue(InvalidSpec("an exponential warm-up starts above 0", field="start_factor"))
        return self

    def steps(self, horizon: int) -> int:
        """Return w, the steps of the warm-up within `horizon` steps."""
        return whole_steps(self.fraction, horizon)

    def curve(self, t: Steps, w: int) -> Floats:
        """Return the factors at steps `t` (each in [0, w)) of a warm-up of `w` steps."""
        v = np.asarray((t + 1 if self.inclusive else t) / w, dtype=np.float64)
        if self.shape == "constant":
            return np.full_like(v, self.start_factor)
        if self.shape == "exponential":
            return np.asarray(self.start_factor ** (1 - v))
        if self.shape == "cosine":
            v = (1 - np.cos(np.pi * v)) / 2
        return self.start_factor + (1 - self.start_factor) * v


class Restarts(Model):
    """The body played `count` times, each time longer by `length_multiplier` and scaled by `peak_gamma`.

    Cycle i (from 0) ends at T (1 + m + ... + m^i) / (1 + m + ... + m^(count - 1)), rounded half up, in exact
    arithmetic: a floor of a logarithm would put some restarts one step late.

    >>> Restarts(count=3, length_multiplier=2).ends(70).tolist()
    [10, 30, 70]

    Source: Loshchilov and Hutter, arXiv:1608.03983 (SGDR, with `cosine` as the body).
    """

    count: Annotated[int, Field(ge=1, le=100)]
    length_multiplier: Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)] = 1.0
    peak_gamma: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 1.0

    def ends(self, horizon: int) -> Steps:
        """Return the step after the last one of each cycle: `count` whole numbers, the last is `horizon`."""
        multiplier = Ratio(self.length_multiplier)
        shares = list(accumulate(multiplier**cycle for cycle in range(self.count)))
        ends = [(2 * horizon * share + shares[-1]) // (2 * shares[-1]) for share in shares]
        return np.array(ends, dtype=np.int64)
