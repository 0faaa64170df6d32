"""`inverse_time`: the hyperbola of stochastic approximation."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from ..ranges import FloatRange
from .base import Floats, Schedule, Steps


class InverseTime(Schedule):
    """f(t) = 1 / (1 + decay t / T).

    decay: per horizon; at the end 1 / (1 + decay) of the initial LR is left.

    >>> InverseTime(decay=2.0).body(np.arange(2), 2).tolist()
    [1.0, 0.5]
    """

    kind: Literal["inverse_time"] = "inverse_time"
    decay: Annotated[float, Field(ge=0, allow_inf_nan=False)]

    law = "1 / (1 + decay t / T)"
    source = "Robbins and Monro 1951; the optimum of the noisy quadratic model in one dimension"
    also = ("InverseTimeDecay",)
    ranges = {"decay": FloatRange(low=1.0, high=1e3, log=True)}

    def body(self, t: Steps, horizon: int) -> Floats:
        """Return the hyperbola."""
        return np.asarray(1 / (1 + self.decay * (t / horizon)))

    def phrase(self) -> str:
        """Say the decay."""
        return f"inverse time with decay {self.decay:.3g}"
