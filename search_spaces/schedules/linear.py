"""`linear`: a straight line from one factor to another."""

from __future__ import annotations

from typing import Literal

import numpy as np

from ..ranges import Choice
from .base import Floats, Schedule, Share, Steps


class Linear(Schedule):
    """f(t) = start_factor + (end_factor - start_factor) t / T.

    start_factor, end_factor: multiples of the initial LR, in [0, 1]; the end is reached at t = T, after the last step.

    >>> Linear().body(np.arange(4), 4).tolist()
    [1.0, 0.75, 0.5, 0.25]
    """

    kind: Literal["linear"] = "linear"
    start_factor: Share = 1.0
    end_factor: Share = 0.0

    law = "start_factor + (end_factor - start_factor) t / T"
    source = "Li et al., arXiv:1905.04753; Defazio et al., arXiv:2310.07831; Bergsma et al., arXiv:2502.15938"
    also = ("LinearLR", "linear-to-zero", "D2Z", "PolynomialLR with power 1")
    ranges = {"end_factor": Choice(choices=[0.0, 0.01, 0.1])}

    def body(self, t: Steps, horizon: int) -> Floats:
        """Return the line."""
        u = t / horizon
        return np.asarray(self.start_factor * (1 - u) + self.end_factor * u)

    def phrase(self) -> str:
        """Say where it ends, and where it starts unless that is at 1."""
        start = "" if self.start_factor == 1 else f" from {self.start_factor:.3g}"
        return f"linear{start} to {self.end_factor:.3g}"
