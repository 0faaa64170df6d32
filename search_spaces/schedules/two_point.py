"""`two_point`: a rise, then down through two free points; near to optimal over a wide range of problems."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from ..ranges import FloatRange
from .base import Floats, Schedule, Share, Steps, percent
from .interpolation import through_line, through_pchip

UNIT = FloatRange(low=0.0, high=1.0, log=False)


class TwoPoint(Schedule):
    """f rises on a line to 1 at u = x0, then goes through (x1, y1) and (x2, y2) to (1, end_factor), u = t / T.

    peak_at: x0. delta1: x1 = x0 + delta1 (1 - x0). delta2: x2 = x1 + delta2 (1 - x1). delta_y: y2 = delta_y y1.
    All in [0, 1], as are y1 and end_factor, so that any values give a curve.
    interpolation: `linear`, or `pchip` (a smooth curve that does not overshoot) after the peak.

    >>> TwoPoint(peak_at=0, y1=0.5, delta1=0.5, delta2=0.5, delta_y=0.5).body(np.arange(4), 4).tolist()
    [1.0, 0.75, 0.5, 0.25]
    """

    kind: Literal["two_point"] = "two_point"
    peak_at: Share
    y1: Share
    delta1: Share
    delta2: Share
    delta_y: Share
    end_factor: Share = 0.0
    interpolation: Literal["linear", "pchip"] = "linear"

    law = "through (x0, 1), (x1, y1), (x2, y2), (1, end); x1, x2 and y2 as shares of what is left"
    source = "Naganuma et al., arXiv:2603.10301"
    also = ("twopointslinear and twopointsspline of init2winit",)
    lengths = ("peak_at",)
    left_out = frozenset({"warmup"})
    ranges = {
        "peak_at": FloatRange(low=0.0, high=0.2, log=False),
        "y1": UNIT,
        "delta1": UNIT,
        "delta2": UNIT,
        "delta_y": UNIT,
    }

    def body(self, t: Steps, horizon: int) -> Floats:
        """Return the curve through its knots."""
        x1 = self.peak_at + self.delta1 * (1 - self.peak_at)
        x2 = x1 + self.delta2 * (1 - x1)
        knots_x = np.array([self.peak_at, x1, x2, 1.0])
        knots_y = np.array([1.0, self.y1, self.delta_y * self.y1, self.end_factor])
        u = np.asarray(t / horizon, dtype=np.float64)
        through = through_line if self.interpolation == "linear" else through_pchip
        values = through(u, knots_x, knots_y)
        rising = u < self.peak_at
        values[rising] = u[rising] / self.peak_at
        return values

    def rise(self, horizon: int) -> int:
        """Return the steps before the peak."""
        return math.ceil(self.peak_at * horizon)

    def phrase(self) -> str:
        """Say the points."""
        x1 = self.peak_at + self.delta1 * (1 - self.peak_at)
        x2 = x1 + self.delta2 * (1 - x1)
        points = f"{self.y1:.3g} at {percent(x1)} and {self.delta_y * self.y1:.3g} at {percent(x2)}"
        rise = f"up to {percent(self.peak_at)}, then " if self.peak_at else ""
        return f"two-point: {rise}through {points} to {self.end_factor:.3g}"
