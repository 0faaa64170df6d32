"""How much trainings of one candidate differ by their seeds: from confirmations, or as measured for tasks on board."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from search_spaces.results import Arm


@dataclass(frozen=True)
class SeedNoise:
    """The noise between seeds at one task and horizon."""

    deviation: float
    """Standard deviation between trainings of one candidate, in the metric's unit."""
    degrees: int
    """Degrees of freedom behind it."""
    correlation: float
    """How alike two candidates do on one seed: -1 to 1; 0 where it is not known."""
    source: str
    """Where it is known from, in words."""


def noise_of(arms: Sequence[Arm], source: str) -> SeedNoise | None:
    """Estimate the noise from a confirmation's arms, those left out that gave no value on some seed.

    The deviation is pooled over the arms. The correlation is that of the arms' values by seed, by the share of the
    variance that the seeds explain in a two-way table; it takes two arms on the same seeds.
    """
    whole = [arm for arm in arms if len(arm.values) >= 2 and all(map(math.isfinite, arm.values.values()))]
    if not whole:
        return None
    squares = sum(float(np.var(list(arm.values.values()), ddof=0)) * len(arm.values) for arm in whole)
    degrees = sum(len(arm.values) - 1 for arm in whole)
    deviation = math.sqrt(squares / degrees)
    return SeedNoise(deviation, degrees, _correlation(whole), source) if deviation > 0 else None


def _correlation(arms: Sequence[Arm]) -> float:
    seeds = sorted(set.intersection(*(set(arm.values) for arm in arms)))
    if len(arms) < 2 or len(seeds) < 3:
        return 0.0
    table = np.array([[arm.values[seed] for seed in seeds] for arm in arms])
    centred = table - table.mean(axis=1, keepdims=True)
    within = float((centred**2).sum()) / (len(arms) * (len(seeds) - 1))
    between = float((centred.mean(axis=0) ** 2).sum()) / (len(seeds) - 1)
    if within == 0:
        return 0.0
    # Averaging k arms whose errors correlate by r leaves the share (1 + (k - 1) r) / k of their variance.
    correlation = (len(arms) * between / within - 1) / (len(arms) - 1)
    return float(np.clip(correlation, 0.0, 1.0))
