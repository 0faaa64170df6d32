"""`wsd`: warm-up, stable, decay; the plateau at the initial LR with a cooldown at its end."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import model_validator

from ..model import Fraction
from ..ranges import FloatRange
from ..searched import refuse
from ..steps import whole_steps
from .base import Floats, Schedule, Share, Steps, percent

Shape = Literal["linear", "cosine", "sqrt", "exponential"]


class Wsd(Schedule):
    """f(t) = 1 up to t = T - D; then from 1 to e with v = (t - (T - D)) / D, D = whole_steps(decay_fraction, T).

    decay_fraction: length of the cooldown, as a fraction of the horizon T.
    end_factor: e, the multiple of the initial LR that the cooldown reaches at t = T.
    shape: `linear` e + (1 - e)(1 - v), `cosine` e + (1 - e)(1 + cos(pi v)) / 2, `sqrt` e + (1 - e)(1 - sqrt(v)),
        `exponential` e^v (then e is above 0).

    >>> Wsd(decay_fraction=0.5).body(np.arange(4), 4).tolist()
    [1.0, 1.0, 1.0, 0.5]
    """

    kind: Literal["wsd"] = "wsd"
    decay_fraction: Fraction = 0.2
    shape: Shape = "linear"
    end_factor: Share = 0.0

    law = "1, then the decay from 1 to end_factor over the last decay_fraction T steps"
    source = "MiniCPM, arXiv:2404.06395; Haegele et al., arXiv:2405.18392 (shape sqrt); Zhai et al., arXiv:2106.04560"
    also = ("warmup-stable-decay", "trapezoidal", "cooldown")
    lengths = ("decay_fraction",)
    ranges = {"decay_fraction": FloatRange(low=0.1, high=0.5, log=False)}

    @model_validator(mode="after")
    def _exponential_ends_above_0(self) -> Wsd:
        if self.shape == "exponential" and self.end_factor == 0:
            raise refuse("end_factor", "an exponential decay ends above 0")
        return self

    def body(self, t: Steps, horizon: int) -> Floats:
        """Return the plateau and its cooldown."""
        decay = whole_steps(self.decay_fraction, horizon)
        v = np.maximum(t - (horizon - decay), 0) / decay
        if self.shape == "exponential":
            return np.asarray(np.float64(self.end_factor) ** v)
        return self.end_factor + (1 - self.end_factor) * _fall(self.shape, v)

    def phrase(self) -> str:
        """Say how long the cooldown is, its shape and its end."""
        return f"constant, then {self.shape} to {self.end_factor:.3g} over the last {percent(self.decay_fraction)}"


def _fall(shape: Shape, v: Floats) -> Floats:
    """Return the way from 1 at v = 0 to 0 at v = 1."""
    if shape == "cosine":
        return np.asarray(0.5 * (1 + np.cos(np.pi * v)))
    return np.asarray(1 - np.sqrt(v) if shape == "sqrt" else 1 - v)
