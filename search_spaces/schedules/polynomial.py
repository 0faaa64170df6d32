"""`polynomial`: a power of the time that is left."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from ..model import Fraction
from ..ranges import FloatRange, Scalar
from ..steps import whole_steps
from .base import Floats, Schedule, Share, Steps, percent


class Polynomial(Schedule):
    """f(t) = (1 - e) (1 - t / D)^power + e, e = end_factor, D = whole_steps(cycle_length, T).

    power: 1 is the line, above it the fall slows down, below it hurries.
    end_factor: the multiple of the initial LR that is reached at t = D.
    cycle_length: D as a fraction of the horizon T.
    cycle: without it f stays at the end after D; with it D grows to the next multiple once it is reached, so that
        the LR jumps up again, lower each time.

    >>> Polynomial(power=2).body(np.arange(4), 4).tolist()
    [1.0, 0.5625, 0.25, 0.0625]
    """

    kind: Literal["polynomial"] = "polynomial"
    power: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]
    end_factor: Share = 0.0
    cycle: bool = False
    cycle_length: Fraction = 1.0

    law = "(1 - e) (1 - t / D)^power + e; D = cycle_length T, or its next multiple with cycle"
    source = "the recipes of PaddlePaddle and Keras; power 1 is linear decay"
    also = ("PolynomialDecay", "PolynomialLR", "PolyLR")
    lengths = ("cycle_length",)
    ranges = {"power": FloatRange(low=0.5, high=3.0, log=False)}

    def body(self, t: Steps, horizon: int) -> Floats:
        """Return the power of what is left of each cycle."""
        length = whole_steps(self.cycle_length, horizon)
        # At t = 0 the first cycle has begun: ceil(0) = 0 would divide by zero.
        end = length * np.maximum(1, -(-t // length)) if self.cycle else length
        u = np.minimum(t, end) / end
        return np.asarray((1 - self.end_factor) * (1 - u) ** self.power + self.end_factor)

    @classmethod
    def is_active(cls, name: str, drawn: Mapping[str, Scalar]) -> bool:
        """Ask for a length of the cycles only where there are some, unless it is searched by itself."""
        return name != "cycle_length" or bool(drawn.get("cycle", True))

    def phrase(self) -> str:
        """Say the power, the end and the cycles."""
        cycles = f" in cycles of {percent(self.cycle_length)}" if self.cycle else ""
        return f"polynomial of power {self.power:.3g} to {self.end_factor:.3g}{cycles}"
