"""`cosine`: half a wave from the initial LR down to the end."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from ..ranges import Choice
from .base import Floats, Schedule, Share, Steps


class Cosine(Schedule):
    """f(t) = e + (1 - e) (1 + cos(2 pi cycles t / T)) / 2, e = end_factor.

    end_factor: the lowest multiple of the initial LR, in [0, 1].
    cycles: waves within the horizon; 0.5 is one way down, 0.25 stops half-way, a whole number ends at the peak again.

    >>> Cosine().body(np.arange(2), 2).round(12).tolist()
    [1.0, 0.5]

    With `restarts` this is SGDR; reversed, a rising half wave.
    """

    kind: Literal["cosine"] = "cosine"
    end_factor: Share = 0.0
    cycles: Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)] = 0.5

    law = "e + (1 - e) (1 + cos(2 pi cycles t / T)) / 2, e = end_factor"
    source = "Loshchilov and Hutter, arXiv:1608.03983"
    also = ("CosineAnnealingLR", "CosineDecay", "transformers cosine, whose num_cycles is `cycles`")
    ranges = {"end_factor": Choice(choices=[0.0, 0.01, 0.1])}

    def body(self, t: Steps, horizon: int) -> Floats:
        """Return the wave."""
        wave = np.cos((2 * np.pi * self.cycles / horizon) * t)
        return np.asarray(self.end_factor + (1 - self.end_factor) * 0.5 * (1 + wave))

    def phrase(self) -> str:
        """Say where it ends, and how many waves there are unless it is half a one."""
        waves = "" if self.cycles == 0.5 else f" over {self.cycles:g} waves"
        return f"cosine to {self.end_factor:.3g}{waves}"
