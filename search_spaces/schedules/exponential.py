"""`exponential`: the same ratio from each step to the next."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from ..ranges import FloatRange
from .base import Floats, Schedule, Steps


class Exponential(Schedule):
    """f(t) = final_factor^(t / T).

    final_factor: f(T), what is left of the initial LR at the end, in (0, 1]; gamma per step is its T-th root.

    >>> Exponential(final_factor=0.01).body(np.arange(2), 2).round(12).tolist()
    [1.0, 0.1]

    The growing twin, for a range test of the LR, is this with `reverse`.
    """

    kind: Literal["exponential"] = "exponential"
    final_factor: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]

    law = "final_factor^(t / T)"
    source = "eta_0 exp(-k t), the form in which most courses teach decay"
    also = ("ExponentialLR with gamma = final_factor^(1/T)", "ExponentialDecay")
    ranges = {"final_factor": FloatRange(low=1e-4, high=0.5, log=True)}

    def body(self, t: Steps, horizon: int) -> Floats:
        """Return the exponential."""
        return np.asarray(np.float64(self.final_factor) ** (t / horizon))

    def phrase(self) -> str:
        """Say where it ends."""
        return f"exponential to {self.final_factor:.3g}"
