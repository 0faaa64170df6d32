"""`step`: a drop by the same factor at equal distances."""

from __future__ import annotations

from typing import Literal

from ..model import Fraction
from ..ranges import Choice, FloatRange
from ..steps import whole_steps
from .base import Floats, Gamma, Schedule, Steps, percent, powers


class Step(Schedule):
    """f(t) = gamma^floor(t / s), s = whole_steps(step_size, T).

    step_size: steps between two drops, as a fraction of the horizon T.
    gamma: what each drop leaves of the LR.

    >>> import numpy as np
    >>> Step(step_size=0.5, gamma=0.1).body(np.arange(4), 4).tolist()
    [1.0, 1.0, 0.1, 0.1]
    """

    kind: Literal["step"] = "step"
    step_size: Fraction
    gamma: Gamma = 0.1

    law = "gamma^floor(t / s), s = step_size T in whole steps"
    source = "the recipes of Krizhevsky et al. 2012 and He et al., arXiv:1512.03385"
    also = ("StepLR", "StepDecay")
    lengths = ("step_size",)
    ranges = {
        "step_size": FloatRange(low=0.1, high=0.5, log=False),
        "gamma": Choice(choices=[0.1, 0.2, 0.5]),
    }

    def body(self, t: Steps, horizon: int) -> Floats:
        """Return the staircase."""
        return powers(self.gamma, t // whole_steps(self.step_size, horizon))

    def phrase(self) -> str:
        """Say how far the LR drops, and how often."""
        return f"steps of x{self.gamma:g} every {percent(self.step_size)}"
