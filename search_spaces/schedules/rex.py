"""`rex`: reflected exponential, slow at first and fast at the end."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from ..ranges import FloatRange
from .base import Floats, Schedule, Steps


class Rex(Schedule):
    """f(t) = (1 - u) / (1 - (1 - beta) u), u = t / T.

    beta: below 1 the curve stays above the line, above 1 below it; 1 is `linear`, 0.5 the published REX.

    >>> Rex().body(np.arange(2), 2).round(6).tolist()
    [1.0, 0.666667]
    """

    kind: Literal["rex"] = "rex"
    beta: Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)] = 0.5

    law = "(1 - u) / (1 - (1 - beta) u), u = t / T"
    source = "Chen et al., arXiv:2107.04197 (beta 0.5); with beta free: arXiv:2603.10301"
    also = ("REX",)
    ranges = {"beta": FloatRange(low=0.1, high=10.0, log=True)}

    def body(self, t: Steps, horizon: int) -> Floats:
        """Return the hyperbola."""
        left = 1 - t / horizon
        return np.asarray(left / (self.beta + (1 - self.beta) * left))

    def phrase(self) -> str:
        """Say beta unless it is that of the paper."""
        return "REX" if self.beta == 0.5 else f"REX with beta {self.beta:.3g}"
