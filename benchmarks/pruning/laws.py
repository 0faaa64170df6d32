"""Two laws of the literature for a loss under a schedule of learning rates, fitted to what is known of some curves.

The convex bound is what (sub)gradient descent on a convex function with gradients of norm at most G, started at a
distance D from an optimum with the loss L, can be sure of at its last iterate (Schaipp and others, "The surprising
agreement between convex optimization theory and learning-rate scheduling", arXiv 2501.18965). With S(k, t) the sum of
the learning rates h from step k to t, and Q(k, t) that of their squares,

    L + D^2 / 2 S(1, t) + G^2 / 2 (Q(1, t) / S(1, t) + sum over k < t of h(k) Q(k, t) / S(k + 1, t) S(k, t)).

The multi-power law (Luo and others, arXiv 2503.12811) has seven constants, L, A, B, C, alpha, beta and gamma:

    L + A S(1, t)^-alpha - B sum over k <= t of (h(k - 1) - h(k)) (1 - (1 + C h(k)^-gamma S(k, t))^-beta),

its sum beginning where the rise of the schedule ends. Both are fitted to SGD's curves and to the adaptive optimizers'
on their own, whose learning rates cannot be compared; those of SGD are divided by 1 less the momentum.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares, nnls

from search_spaces.candidate import Candidate
from search_spaces.schedules import curve

from .record import RUNGS, rungs_of
from .recorded import Recorded

Values = NDArray[np.float64]
Mask = NDArray[np.bool_]
Law = Callable[[Recorded, Mask], Values]
"""From a pool and the points of its curves that are known, (n, 20): what it foretells for every point, (n, 20)."""

FEWEST = 3
"""Curves of a kind of optimizer that a law is fitted to; with fewer it is fitted to all."""
TINY = 1e-9
"""Stands for a factor of 0, by which the bound would be divided."""
BINS = 5
"""Stretches between two points, in each of which the multi-power law takes the learning rate for constant."""
FLOOR = 0.05
"""No loss is foretold to be lower than this share of the lowest that is known."""
STARTS = np.log([[0.5, 1.0, 0.5, 1.0, 5.0, 0.5, 0.5], [0.1, 0.5, 0.3, 2.0, 20.0, 1.0, 0.3]])
"""Of the fit: L, A, alpha, B, C, beta, gamma; L, A and B in units of the lowest loss that is known."""
AROUND = 4.0
"""Each constant is sought within this many powers of e of its start."""
OUTLIER = 0.1
"""Residuals of the logarithm beyond this weigh less (the soft absolute value)."""
MOST = 25
"""Evaluations of the fit."""


def convex(pool: Recorded, known: Mask) -> Values:
    """Return the convex bound, its three constants fitted to relative errors by non-negative least squares."""
    terms, losses = convex_terms(pool), pool.raw.astype(np.float64)

    def fitted(of: Mask, learned: Mask) -> Values:
        weighed = terms[learned] / losses[learned][:, None]
        constants, _ = nnls(weighed, np.ones(len(weighed)))
        foretold: Values = terms[of] @ constants
        return foretold

    return _by_optimizer(pool, known, fitted)


def multi_power(pool: Recorded, known: Mask) -> Values:
    """Return the multi-power law, its seven constants fitted to logarithms by robust least squares."""
    losses, course = pool.raw.astype(np.float64), _Course(pool)

    def fitted(of: Mask, learned: Mask) -> Values:
        lowest = losses[learned].min()
        rows, places = np.nonzero(learned)

        def residuals(constants: Values) -> Values:
            found: Values = np.log(course.losses(constants, rows, places, lowest)) - np.log(losses[learned])
            return found

        fits = [
            least_squares(
                residuals,
                start,
                loss="soft_l1",
                f_scale=OUTLIER,
                max_nfev=MOST,
                bounds=(start - AROUND, start + AROUND),
            )
            for start in STARTS
        ]
        best = min(fits, key=lambda fit: float(fit.cost))
        which = np.flatnonzero(of)
        columns = [course.losses(best.x, which, np.full(len(which), place), lowest) for place in range(RUNGS)]
        return np.stack(columns, axis=1)

    return _by_optimizer(pool, known, fitted)


def _by_optimizer(pool: Recorded, known: Mask, fitted: Callable[[Mask, Mask], Values]) -> Values:
    """Foretell the curves of SGD and of the others by what is known of each."""
    foretold = np.empty(known.shape)
    learned = known & np.isfinite(pool.raw)
    is_sgd = np.array([one.optimizer.kind == "sgd" for one in pool.candidates])
    for of in (is_sgd, ~is_sgd):
        own = learned & of[:, None]
        if of.any():
            foretold[of] = fitted(of, own if own.any(axis=1).sum() >= FEWEST else learned)
    return foretold


def scale_of(candidate: Candidate) -> float:
    """Return the learning rate at factor 1 as it acts in the long run: with momentum m, 1 / (1 - m) times."""
    return candidate.initial_lr / (1 - float(getattr(candidate.optimizer, "momentum", 0.0)))


@lru_cache(maxsize=4)
def curves_of(pool: Recorded) -> Values:
    """Return the factors of each candidate's schedule: (n, steps)."""
    return np.stack([curve(one.schedule, pool.steps) for one in pool.candidates])


@lru_cache(maxsize=4)
def convex_terms(pool: Recorded) -> Values:
    """Return by what L, D^2 and G^2 are multiplied in the bound at each point: (n, 20, 3)."""
    factors, scales = np.maximum(curves_of(pool), TINY), np.array([scale_of(one) for one in pool.candidates])
    terms = np.ones((len(pool), RUNGS, 3))
    for place, step in enumerate(rungs_of(pool.steps)):
        passed = factors[:, :step]
        sums, squares = _from_each(passed), _from_each(passed**2)
        rest = (passed[:, :-1] * squares[:, :-1] / (sums[:, 1:] * sums[:, :-1])).sum(axis=1)
        terms[:, place, 1] = 1 / (2 * sums[:, 0] * scales)
        terms[:, place, 2] = (squares[:, 0] / sums[:, 0] + rest) * scales / 2
    return terms


def _from_each(values: Values) -> Values:
    """Return the sum from each step to the last."""
    return values[:, ::-1].cumsum(axis=1)[:, ::-1]


class _Course:
    """What the multi-power law reads of a pool's schedules, in units of the middle learning rate and of the horizon."""

    def __init__(self, pool: Recorded) -> None:
        scales = np.array([scale_of(one) for one in pool.candidates])
        edges = np.linspace(0, pool.steps, RUNGS * BINS + 1).round().astype(int)
        sums = np.pad(curves_of(pool), ((0, 0), (1, 0))).cumsum(axis=1)[:, edges]
        sums *= (scales / (np.median(scales) * pool.steps))[:, None]
        self._before, self._after = sums[:, :-1], sums[:, 1:]
        """Areas before and after each stretch."""
        self._rates = np.diff(sums, axis=1) * (pool.steps / np.diff(edges))
        self._drops = -np.diff(self._rates, axis=1, prepend=self._rates[:, :1])
        self._drops[np.arange(RUNGS * BINS) <= np.ceil(pool.rises * RUNGS * BINS)[:, None]] = 0

    def losses(self, constants: Values, rows: NDArray[np.intp], places: NDArray[np.intp], unit: float) -> Values:
        """Return the law at a point of each of some curves: (rows,)."""
        low, fall, alpha, gain, pace, beta, gamma = np.exp(constants)
        last = BINS * (places + 1) - 1
        area = self._after[rows, last]
        since = np.maximum(area[:, None] - self._before[rows], 0)
        share = 1 - (1 + pace * np.maximum(self._rates[rows], 1e-4) ** -gamma * since) ** -beta
        gained = (self._drops[rows] * share).sum(axis=1, where=np.arange(RUNGS * BINS) <= last[:, None])
        foretold: Values = np.maximum(
            unit * (low + fall * np.maximum(area, TINY) ** -alpha - gain * gained), unit * FLOOR
        )
        return foretold
