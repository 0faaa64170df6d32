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


def horizon_mismatch(updates: int, horizon_steps: int) -> str:
    """Return the error of a trial that made other than the updates of its horizon.

    >>> horizon_mismatch(99, 100)
    'horizon_mismatch: 99 updates instead of 100'
    """
    return f"horizon_mismatch: {updates} updates instead of {horizon_steps}"
