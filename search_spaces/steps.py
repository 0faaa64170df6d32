"""Lengths: a fraction of the horizon becomes whole steps in one place."""

from __future__ import annotations

import math


def whole_steps(fraction: float, horizon: int) -> int:
    """Resolve a length given as a fraction of the horizon, in steps: round half up, at least 1.

    >>> whole_steps(0.05, 30)
    2
    >>> whole_steps(0.001, 30)
    1
    """
    return max(1, math.floor(fraction * horizon + 0.5))
