"""Comparisons of two arms on the seeds that both were trained on: gains, intervals, non-inferiority, the seeds' noise.

A gain is signed so that positive is better, whatever the metric's direction, and is in the metric's unit.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search_spaces.results import Arm
from search_spaces.study import Direction

CONFIDENCE = 0.95
ROUNDING = 1e-12
"""Gains that differ by no more than this share of the largest differ by the rounding of floats only."""
Floats = NDArray[np.float64]
BySeed = Mapping[int, float]
"""Metric at the horizon by seed; nan where the training gave no value."""


@dataclass(frozen=True)
class PairedGain:
    """The mean gain on n >= 2 seeds with a two-sided t interval."""

    gain: float
    standard_error: float
    """Of the mean gain; 0 where every seed gave the same: the spread is then not known."""
    interval: tuple[float, float]
    p_value: float
    """Two-sided; nan where the spread is not known."""
    n: int

    @property
    def distinguishable(self) -> bool:
        """Tell whether the interval, of a spread that is known, leaves out 0."""
        low, high = self.interval
        return self.standard_error > 0 and (low > 0 or high < 0)


@dataclass(frozen=True)
class NonInferiority:
    """Whether an arm is worse than another by less than a margin, by the lower confidence limit of its gain."""

    gain: float
    lower: float
    """One-sided limit of the gain."""
    margin: float
    n: int

    @property
    def holds(self) -> bool:
        """Tell whether a loss as large as the margin is ruled out."""
        return self.lower > -self.margin


def paired_gains(candidate: BySeed, reference: BySeed, direction: Direction) -> Floats:
    """Return the gain of the candidate on each seed that gave both a value, by seed: shape (n,)."""
    sign = 1.0 if direction == "maximize" else -1.0
    gains = [sign * (candidate[seed] - reference[seed]) for seed in sorted(set(candidate) & set(reference))]
    return finite(gains)


def paired_gain(
    candidate: BySeed, reference: BySeed, direction: Direction, confidence: float = CONFIDENCE
) -> PairedGain | None:
    """Compare two arms by the paired t interval; None on fewer than two common seeds."""
    gains = paired_gains(candidate, reference, direction)
    if gains.size < 2:
        return None
    gain, error = mean_and_error(gains)
    half = quantile(gains.size - 1, (1 - confidence) / 2) * error
    p_value = 2 * upper_tail(abs(gain) / error, gains.size - 1) if error else math.nan
    return PairedGain(gain, error, (gain - half, gain + half), p_value, gains.size)


def non_inferiority(
    candidate: BySeed, reference: BySeed, direction: Direction, margin: float, level: float = 0.05
) -> NonInferiority | None:
    """Test that the candidate is worse by less than `margin` > 0, wrongly passed with a chance of at most `level`.

    None on fewer than two common seeds. Equal gains on all seeds count at their size: their limit is the gain itself.
    """
    if not margin > 0:
        raise ValueError(f"margin: must be above 0, not {margin}")
    gains = paired_gains(candidate, reference, direction)
    if gains.size < 2:
        return None
    gain, error = mean_and_error(gains)
    return NonInferiority(gain, gain - quantile(gains.size - 1, level) * error, margin, gains.size)


def mean_and_error(gains: Floats) -> tuple[float, float]:
    """Return mean and standard error of n >= 2 gains; an error that is but the rounding of floats is 0."""
    mean = float(gains.mean())
    if np.ptp(gains) <= ROUNDING * np.abs(gains).max():
        return mean, 0.0
    return mean, float(gains.std(ddof=1)) / math.sqrt(gains.size)


def quantile(freedom: int, tail: float) -> float:
    """Return the t that Student's distribution of `freedom` degrees exceeds with the chance `tail`."""
    from scipy import special  # with the first verdict: every start would pay a quarter of a second

    return float(special.stdtrit(freedom, 1 - tail))


def upper_tail(t: float, freedom: int) -> float:
    """Return the chance that Student's distribution of `freedom` degrees exceeds t."""
    from scipy import special

    return float(special.stdtr(freedom, -t))


def finite(values: Iterable[float]) -> Floats:
    """Return those of the values that are finite."""
    array = np.array(list(values), dtype=np.float64)
    return array[np.isfinite(array)]


def mean_of(values: BySeed) -> float | None:
    """Return the mean over the seeds that gave a value; None where none did."""
    known = finite(values.values())
    return float(known.mean()) if known.size else None


# The noise of the seeds


def seed_deviation(arms: Sequence[Arm]) -> float | None:
    """Return the standard deviation of the metric between seeds within an arm, pooled; None on single seeds."""
    tables = [known for arm in arms if (known := finite(arm.values.values())).size > 1]
    freedom = sum(known.size - 1 for known in tables)
    squares = math.fsum(float(np.square(known - known.mean()).sum()) for known in tables)
    return math.sqrt(squares / freedom) if freedom else None


def residual_deviation(arms: Sequence[Arm]) -> float | None:
    """Return what of `seed_deviation` remains when the part that all arms share on a seed is taken out.

    Arms without a value on some seed are left out; None with fewer than two others, or on a single seed.
    """
    rows = [list(arm.values.values()) for arm in arms if _is_whole(arm)]
    table = np.array(rows, dtype=np.float64)
    if len(rows) < 2 or table.shape[1] < 2:
        return None
    left = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + table.mean()
    return math.sqrt(float(np.square(left).sum()) / ((table.shape[0] - 1) * (table.shape[1] - 1)))


def seed_correlation(arms: Sequence[Arm]) -> float:
    """Return the share of the seeds' variance that arms have in common, in [0, 1]; 0 where it is not known."""
    whole = [arm for arm in arms if _is_whole(arm)]
    total, left = seed_deviation(whole), residual_deviation(whole)
    if not total or left is None:
        return 0.0
    return min(1.0, max(0.0, 1 - (left / total) ** 2))


def margin_of(arms: Sequence[Arm]) -> float | None:
    """Return the margin within which arms count as equal: half a standard deviation of the seeds' noise."""
    deviation = seed_deviation(arms)
    return deviation / 2 if deviation else None


def _is_whole(arm: Arm) -> bool:
    return bool(arm.values) and all(math.isfinite(value) for value in arm.values.values())
