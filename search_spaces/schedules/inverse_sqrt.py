"""`inverse_sqrt`: the inverse square root of time, which needs no end."""

from __future__ import annotations

from typing import Literal

import numpy as np

from ..model import Fraction
from ..ranges import FloatRange
from ..steps import whole_steps
from .base import Floats, Schedule, Steps, percent


class InverseSqrt(Schedule):
    """f(t) = sqrt(s / (t + s)), s = whole_steps(timescale, T).

    timescale: as a fraction of the horizon T; after 3 s steps half of the initial LR is left.

    >>> InverseSqrt(timescale=0.25).body(np.arange(4), 4).round(4).tolist()
    [1.0, 0.7071, 0.5774, 0.5]
    """

    kind: Literal["inverse_sqrt"] = "inverse_sqrt"
    timescale: Fraction

    law = "sqrt(s / (t + s)), s = timescale T"
    source = "Raffel et al., arXiv:1910.10683 (T5); Zhai et al., arXiv:2106.04560 (rsqrt)"
    also = ("transformers inverse_sqrt, with a warm-up", "rsqrt", "T5")
    lengths = ("timescale",)
    ranges = {"timescale": FloatRange(low=0.01, high=0.5, log=True)}

    def body(self, t: Steps, horizon: int) -> Floats:
        """Return the inverse square root."""
        s = whole_steps(self.timescale, horizon)
        return np.asarray(np.sqrt(s / (t + s)))

    def phrase(self) -> str:
        """Say the timescale."""
        return f"inverse square root with timescale {percent(self.timescale)}"
