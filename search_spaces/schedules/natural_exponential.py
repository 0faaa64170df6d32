"""`natural_exponential`: the exponential by its rate."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from ..ranges import FloatRange
from .base import Floats, Schedule, Steps


class NaturalExponential(Schedule):
    """f(t) = exp(-rate t / T).

    rate: k, per horizon; the same curve as `exponential` with final_factor exp(-k).

    >>> NaturalExponential(rate=2.0).body(np.arange(2), 2).round(6).tolist()
    [1.0, 0.367879]
    """

    kind: Literal["natural_exponential"] = "natural_exponential"
    rate: Annotated[float, Field(ge=0, allow_inf_nan=False)]

    law = "exp(-rate t / T)"
    source = "eta_0 exp(-k t), the form in which most courses teach decay"
    also = ("NaturalExpDecay", "exponential with final_factor exp(-rate)")
    ranges = {"rate": FloatRange(low=0.5, high=10.0, log=True)}

    def body(self, t: Steps, horizon: int) -> Floats:
        """Return the exponential."""
        return np.asarray(np.exp((-self.rate / horizon) * t))

    def phrase(self) -> str:
        """Say the rate."""
        return f"exponential with rate {self.rate:.3g}"
