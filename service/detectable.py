"""The smallest gain that a confirmation can detect, before and after it: drawn from the verdict's own bounds.

With the gain g of a candidate over baselines that are all equally good, the lower end of the interval is g plus a
number that hangs on the noise alone. So the gain that wins with 80 % power is the 80 % quantile, over the noise, of
what that number lacks to 0.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from .margins import cut, lower_quantile
from .paired import Floats

POWER = 0.8
DRAWS = 20_000
"""The quantile is then known to within 0.006 standard deviations."""
AT_ONCE = 2_000


def detectable_gain(*, arms: tuple[int, int], seeds: int, noise: float, correlation: float = 0.0) -> float:
    """Return the gain over equally good baselines that is a `winner` with 80 % power, in the unit of `noise`.

    Args:
        arms: numbers of candidates and of baselines in the confirmation, each at least 1.
        seeds: fresh seeds, at least 2, on which every arm is trained.
        noise: standard deviation of the metric between seeds, the same for every arm.
        correlation: share of its variance that arms have in common on a seed, in [0, 1]; pairing takes it out.

    >>> round(detectable_gain(arms=(2, 3), seeds=9, noise=0.01), 3)
    0.019
    """
    candidates, baselines = arms
    if candidates < 1 or baselines < 1:
        raise ValueError(f"arms: needs a candidate and a baseline, not {arms}")
    if seeds < 2:
        raise ValueError(f"seeds: one seed has no spread, so at least 2 are needed, not {seeds}")
    if not (noise >= 0 and 0 <= correlation <= 1):
        raise ValueError(f"noise: must be at least 0, not {noise}, and correlation in [0, 1], not {correlation}")
    return _needed(candidates, baselines, seeds) * noise * math.sqrt(1 - correlation)


@lru_cache(maxsize=256)
def _needed(candidates: int, baselines: int, seeds: int) -> float:
    """Return the detectable gain in standard deviations of an arm's own noise."""
    rng = np.random.default_rng(0)
    drawn = [_lacking(rng, candidates, baselines, seeds) for _ in range(DRAWS // AT_ONCE)]
    return float(np.quantile(np.concatenate(drawn), POWER))


def _lacking(rng: np.random.Generator, candidates: int, baselines: int, seeds: int) -> Floats:
    """Return, for draws of pure noise, the gain that would lift the lower end to 0: shape (AT_ONCE,)."""
    candidate = rng.standard_normal((AT_ONCE, 1, seeds))
    gains = cut(candidate - rng.standard_normal((AT_ONCE, baselines, seeds)))
    errors = gains.std(axis=-1, ddof=1) / math.sqrt(seeds)
    lowest: Floats = (gains.mean(axis=-1) - lower_quantile(candidates, seeds) * errors).min(axis=-1)
    return -lowest
