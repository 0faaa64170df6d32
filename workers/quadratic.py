"""The noisy quadratic model: a loss whose expectation under SGD is known, and with it the best schedule.

The loss is 1/2 sum h_i x_i^2 with the optimum 0. A gradient is h_i x_i + noise of the variance v_i, so that under SGD
with the learning rates a_t the second moments A_i = E x_i^2 follow (G. Zhang et al., arXiv:1907.04164)

    A_i(t+1) = (1 - a_t h_i)^2 A_i(t) + a_t^2 v_i.

The expected loss at the end is a parabola in each a_t while the others stay: coordinate descent finds the best ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

SWEEPS = 200
"""At most; a few tens are needed."""
STARTS = (0.1, 0.3, 0.9)
"""Constant rates to start from, as shares of the cap; at half of it one update would forget all before it."""
ENOUGH = 1e-14
"""A relative gain below which a sweep was the last."""


@dataclass(frozen=True)
class Quadratic:
    """A problem in d coordinates, each array (d,) float64."""

    curvatures: Vector
    """h."""
    variances: Vector
    """v, of a gradient's noise: that of one example over the batch size."""
    moments: Vector
    """A(0), the squares of the start."""

    @property
    def cap(self) -> float:
        """The largest learning rate at which no coordinate grows, 2 / max h.

        Beyond it the best schedules are absurd: they rise to a thousand times the cap between two updates.
        """
        return float(2.0 / self.curvatures.max())

    def losses(self, rates: Sequence[float] | Vector) -> Vector:
        """Return the expected loss before each update of SGD and after the last: (T + 1,)."""
        return self._moments(np.asarray(rates, dtype=np.float64)) @ self.curvatures / 2

    def greedy(self, steps: int) -> Vector:
        """Return the learning rates each of which is best for the very next loss: (T,).

        In more than one coordinate they fall too early: with them the last loss is far from the best.
        """
        rates, moments = np.empty(steps), self.moments
        for step in range(steps):
            rates[step] = self._best(self.curvatures, moments)
            moments = self._after(moments, rates[step])
        return rates

    def optimal(self, steps: int) -> Vector:
        """Return the learning rates up to the cap with the least expected loss after `steps` updates: (T,).

        The problem is not convex in all of them at once; of four starts the best end is taken. On problems with
        recorded optima it agrees with a quasi-Newton method to 1e-9 (tests/golden/noisy_quadratic).
        """
        flat = [np.full(steps, self.cap * share) for share in STARTS]
        ends = [self._descended(start) for start in (self.greedy(steps), *flat)]
        return min(ends, key=lambda rates: float(self.losses(rates)[-1]))

    def _descended(self, rates: Vector) -> Vector:
        rates, before = np.minimum(rates, self.cap), np.inf
        for _ in range(SWEEPS):
            rates = self._swept(rates)
            after = float(self.losses(rates)[-1])
            if before - after <= ENOUGH * after:
                break
            before = after
        return rates

    def _swept(self, rates: Vector) -> Vector:
        """Return the rates after each in turn, first to last, was set to its best."""
        weights = self._weights(rates)
        swept, moments = np.empty_like(rates), self.moments
        for step in range(len(rates)):
            swept[step] = self._best(weights[step + 1], moments)
            moments = self._after(moments, swept[step])
        return swept

    def _best(self, weights: Vector, moments: Vector) -> float:
        """Return the rate of one update with the least sum of weights times the second moments after it."""
        gain = weights * self.curvatures * moments
        cost = weights * (self.curvatures**2 * moments + self.variances)
        return min(self.cap, float(gain.sum() / cost.sum()))

    def _after(self, moments: Vector, rate: float) -> Vector:
        return (1 - rate * self.curvatures) ** 2 * moments + rate**2 * self.variances

    def _moments(self, rates: Vector) -> Vector:
        """Return A before each update and after the last: (T + 1, d)."""
        moments = np.empty((len(rates) + 1, len(self.moments)))
        moments[0] = self.moments
        for step, rate in enumerate(rates):
            moments[step + 1] = self._after(moments[step], rate)
        return moments

    def _weights(self, rates: Vector) -> Vector:
        """Return what a unit of A before each update, and after the last, adds to the last loss: (T + 1, d)."""
        weights = np.empty((len(rates) + 1, len(self.moments)))
        weights[-1] = self.curvatures / 2
        for step in range(len(rates) - 1, -1, -1):
            weights[step] = weights[step + 1] * (1 - rates[step] * self.curvatures) ** 2
        return weights
