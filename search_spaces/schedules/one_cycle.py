"""`one_cycle`: up to the peak, then far below the start."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from ..model import Fraction
from ..ranges import FloatRange
from ..searched import refuse
from ..steps import whole_steps
from .base import OWN_RISE, Floats, Schedule, Shortfall, Steps, percent

Divisor = Annotated[float, Field(ge=1, allow_inf_nan=False)]


class OneCycle(Schedule):
    """f rises from 1/div_factor to 1 at t = peak_fraction T - 1, and falls to 1/(div_factor final_div_factor) at T - 1.

    peak_fraction: where the peak is, as a fraction of the horizon T (not rounded to whole steps, as in torch).
    div_factor: the peak over the first LR. final_div_factor: the first LR over the last.
    anneal: `cos` or `linear` between the turning points.
    three_phase: falls to 1/div_factor as fast as it rose, and only then to the end (peak_fraction at most 0.5).

    >>> OneCycle(peak_fraction=0.5, div_factor=10, anneal="linear").body(np.arange(4), 4).round(4).tolist()
    [0.1, 1.0, 0.5, 0.0]

    The indices are torch's; momentum is left alone. Source: Smith and Topin, arXiv:1708.07120.
    """

    kind: Literal["one_cycle"] = "one_cycle"
    peak_fraction: Fraction = 0.3
    div_factor: Divisor = 25.0
    final_div_factor: Divisor = 1e4
    anneal: Literal["cos", "linear"] = "cos"
    three_phase: bool = False

    law = "from 1/div up to 1 at t = peak_fraction T - 1, down to 1/(div final_div) at t = T - 1"
    source = "Smith and Topin, arXiv:1708.07120"
    also = ("OneCycleLR, whose max_lr is the initial LR",)
    lengths = ("peak_fraction",)
    refuses = OWN_RISE
    ranges = {
        "peak_fraction": FloatRange(low=0.1, high=0.45, log=False),
        "div_factor": FloatRange(low=10.0, high=100.0, log=True),
        "final_div_factor": FloatRange(low=1e2, high=1e5, log=True),
    }

    @model_validator(mode="after")
    def _three_phases_fit(self) -> OneCycle:
        if self.three_phase and self.peak_fraction > 0.5:
            raise refuse("peak_fraction", "with three phases the peak lies within the first half")
        return self

    def shortfall(self, horizon: int) -> Shortfall | None:
        """Ask for a peak after step 0: before it there is nothing to rise from."""
        if self.peak_fraction * horizon > 1:
            return None
        return Shortfall("peak_fraction", "the peak has to come after the first step")

    def body(self, t: Steps, horizon: int) -> Floats:
        """Return the cycle between its turning points."""
        first, last = 1 / self.div_factor, 1 / (self.div_factor * self.final_div_factor)
        peak = self.peak_fraction * horizon - 1
        turns = [(0.0, first), (peak, 1.0), (float(horizon - 1), last)]
        if self.three_phase:
            turns.insert(2, (2 * peak, first))
        values = np.empty(t.shape, dtype=np.float64)
        for (left, high), (right, low) in pairwise(turns):
            inside = (t > left) & (t <= right) if left else t <= right
            share = self._eased(np.asarray((t[inside] - left) / (right - left), dtype=np.float64))
            values[inside] = high * (1 - share) + low * share
        return values

    def _eased(self, share: Floats) -> Floats:
        return np.asarray(0.5 * (1 - np.cos(np.pi * share))) if self.anneal == "cos" else share

    def rise(self, horizon: int) -> int:
        """Return the steps up to the peak."""
        return whole_steps(self.peak_fraction, horizon)

    def phrase(self) -> str:
        """Say where the peak is and what the LR is divided by before and after."""
        phases = " in three phases" if self.three_phase else ""
        start, end = self.div_factor, self.div_factor * self.final_div_factor
        return f"one cycle{phases}, 1/{start:.3g} to the peak at {percent(self.peak_fraction)}, then to 1/{end:.3g}"
