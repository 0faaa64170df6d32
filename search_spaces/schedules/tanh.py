"""`tanh`: a sigmoid fall."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import model_validator

from ..model import Finite
from ..ranges import FloatRange
from ..searched import refuse
from .base import Floats, Schedule, Steps


class Tanh(Schedule):
    """f(t) = (1 - tanh(low + (high - low) t / T)) / 2.

    low, high: where on the sigmoid the horizon begins and ends, low < high.

    >>> Tanh(low=-6, high=6).body(np.arange(2), 2).round(4).tolist()
    [1.0, 0.5]
    """

    kind: Literal["tanh"] = "tanh"
    low: Finite = -6.0
    high: Finite = 3.0

    law = "(1 - tanh(low + (high - low) t / T)) / 2"
    source = "Hsueh et al., arXiv:1806.01593"
    also = ("TanhLRScheduler of timm",)
    ranges = {
        "low": FloatRange(low=-8.0, high=-3.0, log=False),
        "high": FloatRange(low=1.0, high=4.0, log=False),
    }

    @model_validator(mode="after")
    def _low_is_lower(self) -> Tanh:
        if self.low >= self.high:
            raise refuse("low", "low lies below high")
        return self

    def body(self, t: Steps, horizon: int) -> Floats:
        """Return the sigmoid."""
        u = t / horizon
        return np.asarray((1 - np.tanh(self.low * (1 - u) + self.high * u)) / 2)

    def phrase(self) -> str:
        """Say which part of the sigmoid it is."""
        return f"tanh from {self.low:.3g} to {self.high:.3g}"
