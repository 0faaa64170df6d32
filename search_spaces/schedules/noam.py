"""`noam`: the schedule of the first Transformer."""

from __future__ import annotations

from typing import Literal

import numpy as np

from ..model import Fraction
from ..ranges import FloatRange
from ..steps import whole_steps
from .base import OWN_RISE, Floats, Schedule, Steps, percent


class Noam(Schedule):
    """f(t) = min((t + 1) / w, sqrt(w / (t + 1))), w = whole_steps(peak, T).

    peak: length of the rise, as a fraction of the horizon T. The initial LR is the peak itself: in the paper's
        terms it is scale (d_model w)^(-1/2).

    >>> Noam(peak=0.5).body(np.arange(4), 4).round(4).tolist()
    [0.5, 1.0, 0.8165, 0.7071]
    """

    kind: Literal["noam"] = "noam"
    peak: Fraction

    law = "min((t + 1) / w, sqrt(w / (t + 1))), w = peak T"
    source = "Vaswani et al., arXiv:1706.03762"
    also = ("NoamDecay", "inverse square root with warm-up")
    lengths = ("peak",)
    refuses = OWN_RISE
    ranges = {"peak": FloatRange(low=0.01, high=0.3, log=True)}

    def body(self, t: Steps, horizon: int) -> Floats:
        """Return the rise and the inverse square root after it."""
        w = whole_steps(self.peak, horizon)
        return np.asarray(np.minimum((t + 1) / w, np.sqrt(w / (t + 1))))

    def rise(self, horizon: int) -> int:
        """Return w."""
        return whole_steps(self.peak, horizon)

    def phrase(self) -> str:
        """Say where the peak is."""
        return f"Noam with the peak at {percent(self.peak)}"
