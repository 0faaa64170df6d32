"""The limits of a gain over one baseline, such that the best of several candidates and baselines may be picked.

Each limit is that of Student's t on the gains by seed, widened for what was picked after seeing the data: the lower
one for the number of candidates, of which the luckiest is looked at, the upper one for that of baselines.
docs/verdict.md says why, with the simulations.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .paired import ROUNDING, Floats, mean_and_error, quantile, upper_tail

LOWER = 0.035
"""The chance that the lower limit lies above the true gain: that of a false winner, over all candidates."""
UPPER = 0.015
"""The chance that the upper limit lies below the true gain, over all baselines; both together leave 95 %."""
CUT_FROM_SEEDS = 7
"""With fewer seeds, cutting gains would let through more false winners than the level allows."""
CUT_BEYOND = 2.0
"""How far above the median a gain may lie, in distances of the least gain below it."""


@dataclass(frozen=True)
class Limits:
    """A candidate's gain over one baseline, on n >= 2 seeds."""

    gain: float
    lower: float
    upper: float
    p_value: float
    """One-sided and over all candidates: the chance of a lower limit above 0 by luck."""
    deviation: float
    """Standard deviation between seeds of an arm, if both sides of the gain have the same."""
    n: int
    known: bool
    """false: every seed gave the same gain, and they are too few to rule out that this is luck."""


def lower_quantile(candidates: int, seeds: int) -> float:
    """Return how many standard errors the lower limit lies below the mean gain."""
    return quantile(seeds - 1, LOWER / candidates)


def upper_quantile(baselines: int, seeds: int) -> float:
    """Return how many standard errors the upper limit lies above the mean gain."""
    return quantile(seeds - 1, UPPER / baselines)


def cut(gains: Floats) -> Floats:
    """Bring down gains far above the others, as where a baseline diverged: shape (..., seeds), the same again.

    One such seed is in the candidate's favour, yet it widens the interval to below 0. A gain counts for at most
    twice as much above the median as the least one lies below it, so what is claimed only gets less.
    """
    if gains.shape[-1] < CUT_FROM_SEEDS:
        return gains
    median = np.median(gains, axis=-1, keepdims=True)
    below = median - gains.min(axis=-1, keepdims=True)
    spread = below > ROUNDING * np.abs(gains).max(axis=-1, keepdims=True)
    return np.minimum(gains, np.where(spread, median + CUT_BEYOND * below, np.inf))


def limits_of(gains: Floats, candidates: int, baselines: int) -> Limits:
    """Return the limits of a mean gain, given how many candidates and baselines were picked from."""
    n = gains.size
    gain, error = mean_and_error(gains)
    claimed, claimed_error = mean_and_error(cut(gains))
    if error == 0 or claimed_error == 0:
        return _of_equal_gains(claimed, n, candidates, baselines)
    return Limits(
        gain=gain,
        lower=claimed - lower_quantile(candidates, n) * claimed_error,
        upper=gain + upper_quantile(baselines, n) * error,
        p_value=min(1.0, candidates * upper_tail(claimed / claimed_error, n - 1)),
        deviation=claimed_error * math.sqrt(n / 2),
        n=n,
        known=True,
    )


def _of_equal_gains(gain: float, n: int, candidates: int, baselines: int) -> Limits:
    """Return the limits where every seed gave the same: if neither side is better, n coins fell alike.

    Enough of them, and the gain is its own limit; else the limits reach to 0 and count as not known.
    """
    chance = 0.5**n
    holds = candidates * chance <= LOWER if gain > 0 else baselines * chance <= UPPER
    return Limits(
        gain=gain,
        lower=gain if holds else min(gain, 0.0),
        upper=gain if holds else max(gain, 0.0),
        p_value=min(1.0, candidates * chance) if gain > 0 else 1.0,
        deviation=0.0,
        n=n,
        known=holds,
    )
