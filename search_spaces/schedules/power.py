"""`power`: a power law of time."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from ..model import Fraction
from ..ranges import FloatRange
from ..steps import whole_steps
from .base import Floats, Schedule, Steps, percent


class Power(Schedule):
    """f(t) = (1 + t / s)^(-exponent), s = whole_steps(timescale, T).

    timescale: as a fraction of the horizon T.
    exponent: 0.5 is `inverse_sqrt`, 1 is `inverse_time` with decay 1 / timescale.

    >>> Power(timescale=0.5, exponent=1).body(np.arange(4), 4).round(4).tolist()
    [1.0, 0.6667, 0.5, 0.4]
    """

    kind: Literal["power"] = "power"
    timescale: Fraction
    exponent: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]

    law = "(1 + t / s)^(-exponent), s = timescale T"
    source = "Shen et al., arXiv:2408.13359 (power scheduler)"
    also = ("power scheduler",)
    lengths = ("timescale",)
    ranges = {
        "timescale": FloatRange(low=0.01, high=0.5, log=True),
        "exponent": FloatRange(low=0.2, high=1.0, log=False),
    }

    def body(self, t: Steps, horizon: int) -> Floats:
        """Return the power law."""
        return np.asarray((1 + t / whole_steps(self.timescale, horizon)) ** -self.exponent)

    def phrase(self) -> str:
        """Say exponent and timescale."""
        return f"power law of exponent {self.exponent:.3g} with timescale {percent(self.timescale)}"
