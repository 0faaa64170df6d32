"""`cyclic`: up and down between a floor and the initial LR."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from ..model import Fraction
from ..ranges import FloatRange
from ..steps import whole_steps
from .base import Floats, Gamma, Schedule, Share, Steps, percent, powers


class Cyclic(Schedule):
    """f(t) = floor + (1 - floor) tri(t) scale(t), cycles of L = whole_steps(cycle_length, T) steps.

    floor: the lowest multiple of the initial LR, where every cycle begins.
    cycle_length: one way up and down, as a fraction of the horizon T.
    up_fraction: the share of a cycle that goes up; tri is 0 at its ends and 1 at the top.
    mode: scale is 1 (`triangular`), 1/2^cycle (`triangular2`), or gamma^t (`exp_range`, gamma per step as in torch).

    >>> Cyclic(floor=0.2, cycle_length=1.0).body(np.arange(4), 4).round(6).tolist()
    [0.2, 0.6, 1.0, 0.6]
    """

    kind: Literal["cyclic"] = "cyclic"
    floor: Share
    cycle_length: Fraction
    up_fraction: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 0.5
    mode: Literal["triangular", "triangular2", "exp_range"] = "triangular"
    gamma: Gamma = 1.0

    law = "floor + (1 - floor) tri(t) scale(t), cycles of cycle_length T steps"
    source = "Smith, arXiv:1506.01186"
    also = ("CyclicLR, whose max_lr is the initial LR", "CLR")
    lengths = ("cycle_length",)
    left_out = frozenset({"restarts"})
    ranges = {
        "floor": FloatRange(low=0.01, high=0.5, log=True),
        "cycle_length": FloatRange(low=0.1, high=0.5, log=False),
    }

    def body(self, t: Steps, horizon: int) -> Floats:
        """Return the triangles."""
        length = whole_steps(self.cycle_length, horizon)
        cycle, place = np.divmod(t, length)
        share = place / length
        up = share / self.up_fraction
        if self.up_fraction < 1:
            up = np.where(share <= self.up_fraction, up, (1 - share) / (1 - self.up_fraction))
        return np.asarray(self.floor + (1 - self.floor) * up * self._scale(t, cycle))

    def _scale(self, t: Steps, cycle: Steps) -> Floats | float:
        if self.mode == "triangular2":
            return powers(0.5, cycle)
        return powers(self.gamma, t) if self.mode == "exp_range" else 1.0

    def phrase(self) -> str:
        """Say how far down, how long and how the height changes."""
        return f"{self.mode} cycles of {percent(self.cycle_length)} down to {self.floor:.3g}"
