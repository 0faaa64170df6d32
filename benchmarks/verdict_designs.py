"""Designs of a confirmation, for many simulated tables at once: who is named the winner, and after how many trainings.

Tables have the shape (repeats, arms, seeds) float64, candidates first; higher is better. Every design looks at as
many seeds, in order, as it wants.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from service.detectable import detectable_gain
from service.margins import LOWER, UPPER, cut, lower_quantile, upper_quantile

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
LEVEL = 0.05


@dataclass(frozen=True)
class Told:
    """What a design says of each table."""

    finalist: NDArray[np.int64]
    """The candidate that the verdict is about: (repeats,)."""
    wins: Flags
    trainings: Floats
    """Trainings spent: (repeats,)."""


@dataclass(frozen=True)
class Limits:
    """The chosen design's interval of the finalist's gain over the best baseline: each (repeats,)."""

    finalist: NDArray[np.int64]
    lower: Floats
    upper: Floats
    upper_known: Floats
    """inf where the gains on all seeds were the same and these were too few."""
    deviation: Floats
    opponents: int
    """Baselines with values on two seeds at least."""
    seeds: int
    """The least number of seeds of a comparison."""


Design = Callable[[Floats, int], Told]


def best_of(tables: Floats, candidates: int) -> NDArray[np.int64]:
    """Return the candidate with the best mean: (repeats,)."""
    means: Floats = tables[:, :candidates].mean(axis=2)
    best: NDArray[np.int64] = means.argmax(axis=1)
    return best


def gains_of(tables: Floats, finalist: NDArray[np.int64], candidates: int) -> Floats:
    """Return the finalist's gain over each baseline on each seed: (repeats, baselines, seeds)."""
    chosen = np.take_along_axis(tables, finalist[:, None, None], axis=1)
    return chosen - tables[:, candidates:]


def t_of(gains: Floats) -> Floats:
    """Return the paired t statistic of each baseline: (repeats, baselines); 0 where there is no spread."""
    mean, error = _mean_and_error(gains)
    return np.divide(mean, error, out=np.zeros_like(mean), where=error > 0)


def _mean_and_error(gains: Floats) -> tuple[Floats, Floats]:
    spread = np.ptp(gains, axis=-1) > 1e-12 * np.abs(gains).max(axis=-1)
    return gains.mean(axis=-1), np.where(spread, gains.std(axis=-1, ddof=1), 0.0) / math.sqrt(gains.shape[-1])


def _quantile(freedom: int, tail: float) -> float:
    return float(special.stdtrit(freedom, 1 - tail))


# The chosen design


def limits_of(tables: Floats, candidates: int) -> Limits:
    """Return what `service.verdict.judge` computes; a baseline's nan must be on the same seeds in every table."""
    finalist = best_of(tables, candidates)
    gains = gains_of(tables, finalist, candidates)
    known = [each[:, np.isfinite(each[0])] for each in gains.transpose(1, 0, 2)]
    opponents = [each for each in known if each.shape[1] > 1]
    if not opponents:
        open_end = np.full(len(tables), math.inf)
        return Limits(finalist, -open_end, open_end, open_end, np.zeros(len(tables)), 0, 0)
    ends = [_limits(each, candidates, len(known)) for each in opponents]
    lower, upper, upper_known, deviation = (np.stack(part) for part in zip(*ends, strict=True))
    seeds = min(each.shape[1] for each in opponents)
    spread = np.median(deviation, axis=0)
    return Limits(finalist, lower.min(0), upper.min(0), upper_known.min(0), spread, len(opponents), seeds)


def _limits(gains: Floats, candidates: int, baselines: int) -> tuple[Floats, Floats, Floats, Floats]:
    n = gains.shape[1]
    (mean, error), (claimed, claimed_error) = _mean_and_error(gains), _mean_and_error(cut(gains))
    equal = (error == 0) | (claimed_error == 0)
    holds = np.where(claimed > 0, candidates * 0.5**n <= LOWER, baselines * 0.5**n <= UPPER)
    lower = np.where(holds, claimed, np.minimum(claimed, 0.0))
    upper = np.where(holds, claimed, np.maximum(claimed, 0.0))
    lower = np.where(equal, lower, claimed - lower_quantile(candidates, n) * claimed_error)
    upper = np.where(equal, upper, mean + upper_quantile(baselines, n) * error)
    known = np.where(equal & ~holds, math.inf, upper)
    return lower, upper, known, np.where(equal, 0.0, claimed_error * math.sqrt(n / 2))


def verdicts_of(tables: Floats, candidates: int) -> tuple[Flags, Flags]:
    """Return where the verdict is `winner` and where `no_winner`, by the default of `min_gain`: each (repeats,)."""
    found = limits_of(tables, candidates)
    if not found.opponents:
        return found.lower > 0, found.upper < 0
    arms = (candidates, found.opponents)
    detectable = detectable_gain(arms=arms, seeds=found.seeds, noise=1.0) * found.deviation
    wins = found.lower > 0
    return wins, ~wins & ((found.upper_known < detectable) | (found.upper_known <= 0))


def every_baseline(seeds: int) -> Design:
    """Return the chosen design: paired t against every baseline, the level shared by the candidates."""

    def told(tables: Floats, candidates: int) -> Told:
        found = limits_of(tables[:, :, :seeds], candidates)
        return Told(found.finalist, found.lower > 0, _flat(tables, tables.shape[1] * seeds))

    return told


# The others


def best_against_best(seeds: int) -> Design:
    """Return the plain paired t of the best candidate against the best baseline, 95 % two-sided."""

    def told(tables: Floats, candidates: int) -> Told:
        tables = _without_diverged(tables[:, :, :seeds])
        finalist = best_of(tables, candidates)
        best = tables[:, candidates:].mean(axis=2).argmax(axis=1)
        t = np.take_along_axis(t_of(gains_of(tables, finalist, candidates)), best[:, None], axis=1)[:, 0]
        return Told(finalist, t > _quantile(seeds - 1, LEVEL / 2), _flat(tables, tables.shape[1] * seeds))

    return told


def pooled(seeds: int, share: float = 1.0) -> Design:
    """Return the test by the residual of the arm-by-seed table; `share` 0.5 averages it with each pair's variance."""

    def told(tables: Floats, candidates: int) -> Told:
        tables = _without_diverged(tables[:, :, :seeds])
        finalist, arms = best_of(tables, candidates), tables.shape[1]
        gains = gains_of(tables, finalist, candidates)
        whole = (arms - 1) * (seeds - 1)
        variance = share * 2 * _residual(tables)[:, None] + (1 - share) * gains.var(axis=2, ddof=1)
        freedom = whole if share == 1.0 else min(whole, 2 * (seeds - 1))
        error = np.sqrt(variance / seeds)
        wins = gains.mean(axis=2) > _quantile(freedom, LEVEL / candidates) * error
        return Told(finalist, wins.all(axis=1), _flat(tables, arms * seeds))

    return told


def _residual(tables: Floats) -> Floats:
    left = tables - tables.mean(axis=2, keepdims=True) - tables.mean(axis=1, keepdims=True)
    left += tables.mean(axis=(1, 2), keepdims=True)
    variance: Floats = np.square(left).sum(axis=(1, 2)) / ((tables.shape[1] - 1) * (tables.shape[2] - 1))
    return variance


def two_stages(screening: int, seeds: int, most: int = 3, level: float = LEVEL) -> Design:
    """Return the screening of all arms, then fresh seeds for the best candidate and the baselines that may be best.

    These are the baselines within two standard errors of the best one, at most `most`. Each must be beaten at
    the one-sided `level` on the fresh seeds alone: an intersection-union test, so no correction.
    """

    def told(tables: Floats, candidates: int) -> Told:
        tables = _without_diverged(tables[:, :, : screening + seeds])
        first, fresh = tables[:, :, :screening], tables[:, :, screening:]
        finalist, means = best_of(first, candidates), first[:, candidates:].mean(axis=2)
        error = np.sqrt(2 * _residual(first) / screening)
        rank = (-means).argsort(axis=1).argsort(axis=1)
        kept = (rank < most) & (means >= means.max(axis=1, keepdims=True) - 2 * error[:, None])
        beaten = t_of(gains_of(fresh, finalist, candidates)) > _quantile(seeds - 1, level)
        spent = tables.shape[1] * screening + (1 + kept.sum(axis=1)) * seeds
        return Told(finalist, (beaten | ~kept).all(axis=1), spent.astype(np.float64))

    return told


def holm(seeds: int) -> Design:
    """Return Holm's steps over all pairs of a candidate and a baseline: a winner has all of its pairs rejected."""

    def told(tables: Floats, candidates: int) -> Told:
        tables = _without_diverged(tables[:, :, :seeds])
        repeats, arms = tables.shape[:2]
        each = [t_of(gains_of(tables, np.full(repeats, place), candidates)) for place in range(candidates)]
        p_values = special.stdtr(seeds - 1, -np.concatenate(each, axis=1))
        order = p_values.argsort(axis=1)
        steps = LEVEL / np.arange(p_values.shape[1], 0, -1)
        passed = (np.take_along_axis(p_values, order, axis=1) <= steps).cumprod(axis=1).astype(bool)
        rejected = np.zeros_like(passed)
        np.put_along_axis(rejected, order, passed, axis=1)
        finalist = best_of(tables, candidates)
        whole: Flags = rejected.reshape(repeats, candidates, arms - candidates).min(axis=2)
        return Told(finalist, whole[np.arange(repeats), finalist], _flat(tables, arms * seeds))

    return told


def two_looks(early: int, seeds: int) -> Design:
    """Return the chosen test with a look after `early` seeds, spending the level as O'Brien and Fleming's boundary.

    Lan and DeMets' spending function gives the first look its share; the second has the rest, without use of how
    the two hang together. A table that wins at the first look costs no more.
    """
    first = _spent(early / seeds)

    def told(tables: Floats, candidates: int) -> Told:
        tables = _without_diverged(tables[:, :, :seeds])
        looks = []
        for n, level in ((early, first), (seeds, LOWER - first)):
            part = tables[:, :, :n]
            finalist = best_of(part, candidates)
            t = t_of(gains_of(part, finalist, candidates)).min(axis=1)
            looks.append((finalist, t > _quantile(n - 1, level / candidates)))
        (sooner, early_win), (later, late_win) = looks
        spent = np.where(early_win, early, seeds) * tables.shape[1]
        return Told(np.where(early_win, sooner, later), early_win | late_win, spent.astype(np.float64))

    return told


def _spent(share: float) -> float:
    return float(2 * special.ndtr(special.ndtri(LOWER / 2) / math.sqrt(share)))


def _without_diverged(tables: Floats) -> Floats:
    """Leave out the arms that have a nan: no opponents in these designs."""
    return tables[:, np.isfinite(tables[0]).all(axis=1)]


def _flat(tables: Floats, trainings: int) -> Floats:
    return np.full(tables.shape[0], float(trainings))
