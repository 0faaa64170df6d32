"""The verdict in its plain form: the best confirmed candidate against the best baseline, paired by seed.

The 95 % t interval of the mean gain decides: wholly above 0 a winner, wholly below 0 none, else undecided. Gains
are signed so that positive is better, whatever the metric's direction.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import special  # not scipy.stats: it takes half a second, which every start would pay

from search_spaces.results import Arm, Difference, Verdict
from search_spaces.study import Direction

CONFIDENCE = 0.95
ROUNDING = 1e-12
"""Gains that differ by no more than this share of the largest differ by the rounding of floats only."""
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Judgement:
    """What a confirmation has shown."""

    verdict: Verdict
    finalist: str | None
    """The candidate arm with the best mean; None when there is none."""
    best_baseline: str | None
    difference: Difference | None = None
    detectable_gain: float | None = None
    """Half the interval's width, in the metric's unit."""
    notes: list[str] = field(default_factory=list)


def with_statistics(arm: Arm) -> Arm:
    """Fill in mean, standard deviation (n - 1) and 95 % t interval over the seeds whose training ended well."""
    values = _finite(arm.values.values())
    n = values.size
    if n == 0:
        return arm.model_copy(update={"n": 0})
    mean = float(values.mean())
    if n == 1:
        return arm.model_copy(update={"n": 1, "mean": mean})
    deviation = float(values.std(ddof=1))
    half = _quantile(n) * deviation / math.sqrt(n)
    filled = {"n": n, "mean": mean, "standard_deviation": deviation, "interval": (mean - half, mean + half)}
    return arm.model_copy(update=filled)


def judge(arms: Sequence[Arm], direction: Direction) -> Judgement:
    """Compare the best candidate with the best baseline; `arms` carry their statistics and share their seeds."""
    candidate = best_arm([arm for arm in arms if arm.role == "candidate"], direction)
    baseline = best_arm([arm for arm in arms if arm.role == "baseline"], direction)
    notes = [_diverged_note(arm) for arm in arms if arm.n < len(arm.values)]
    names = (candidate.name if candidate else None, baseline.name if baseline else None)
    if candidate is None:
        notes.append("no candidate of the search was confirmed")
    if baseline is None:
        notes.append("no baseline was confirmed")
    if candidate is None or baseline is None:
        return Judgement("undecided", *names, notes=notes)
    if candidate.n < len(candidate.values) or baseline.n < len(baseline.values):
        notes.append("a training without a result leaves the comparison open")
        return Judgement("undecided", *names, notes=notes)
    return _paired(candidate, baseline, direction, notes)


def _diverged_note(arm: Arm) -> str:
    return f"{arm.name} gave no value on {len(arm.values) - arm.n} of {len(arm.values)} seeds"


def best_arm(arms: Sequence[Arm], direction: Direction) -> Arm | None:
    """Return the arm with the best mean; one that failed on a seed comes after all that did not."""
    sign = 1.0 if direction == "minimize" else -1.0
    ranked = [
        (len(arm.values) - arm.n, sign * arm.mean, place) for place, arm in enumerate(arms) if arm.mean is not None
    ]
    return arms[min(ranked)[2]] if ranked else None


def _paired(candidate: Arm, baseline: Arm, direction: Direction, notes: list[str]) -> Judgement:
    gains = paired_gains(candidate.values, baseline.values, direction)
    names = (candidate.name, baseline.name)
    if gains.size < 2:
        return Judgement("undecided", *names, notes=[*notes, "one seed is too few for an interval"])
    gain, half, p_value = gain_interval(gains)
    difference = Difference(
        against=baseline.name, gain=gain, interval=(gain - half, gain + half), p_value=p_value, n=gains.size
    )
    if half == 0:
        notes.append("every seed gave the same difference, so its spread is not known")
        return Judgement("undecided", *names, difference, None, notes)
    verdict: Verdict = "winner" if gain - half > 0 else "no_winner" if gain + half < 0 else "undecided"
    return Judgement(verdict, *names, difference, half, notes)


def paired_gains(candidate: Mapping[int, float], baseline: Mapping[int, float], direction: Direction) -> Floats:
    """Return the gain of the candidate on each seed that both have, positive when better: shape (n,)."""
    seeds = sorted(set(candidate) & set(baseline))
    sign = 1.0 if direction == "maximize" else -1.0
    return np.array([sign * (candidate[seed] - baseline[seed]) for seed in seeds], dtype=np.float64)


def gain_interval(gains: Floats) -> tuple[float, float, float]:
    """Return the mean gain, half the width of its 95 % t interval and the two-sided p-value, of n >= 2 gains.

    The p-value is nan where all gains are equal: their spread is not known.
    """
    mean = float(gains.mean())
    if np.ptp(gains) <= ROUNDING * np.abs(gains).max():
        return mean, 0.0, math.nan
    error = float(gains.std(ddof=1)) / math.sqrt(gains.size)
    p_value = 2 * float(special.stdtr(gains.size - 1, -abs(mean) / error))
    return mean, _quantile(gains.size) * error, p_value


def _quantile(n: int) -> float:
    return float(special.stdtrit(n - 1, 0.5 + CONFIDENCE / 2))


def _finite(values: Iterable[float]) -> Floats:
    array = np.array(list(values), dtype=np.float64)
    return array[np.isfinite(array)]
