"""`constant`: the initial LR throughout."""

from __future__ import annotations

from typing import Literal

import numpy as np

from .base import Floats, Schedule, Steps


class Constant(Schedule):
    """f(t) = 1.

    >>> Constant().body(np.arange(3), 3).tolist()
    [1.0, 1.0, 1.0]

    What every schedule has to beat, and the only body that schedule-free optimizers allow.
    """

    kind: Literal["constant"] = "constant"

    law = "1"
    source = "what training without a schedule does"
    also = ("fixed", "ConstantLR with factor 1")
    left_out = frozenset({"restarts"})

    def body(self, t: Steps, horizon: int) -> Floats:
        """Return ones."""
        _ = horizon
        return np.ones(t.shape, dtype=np.float64)

    def phrase(self) -> str:
        """Say "constant"."""
        return "constant"
