"""A Gaussian process over candidates: what to expect of one that was never trained, and how surely.

Matern kernel of smoothness 5/2 (C. E. Rasmussen and C. K. I. Williams, Gaussian Processes for Machine Learning, 2006,
chapters 2, 4 and 5). Its length scales and its noise are those of a small grid with the greatest marginal likelihood:
a few dozen values say no more, and a grid has no local optima and no failures.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from .features import LEVEL, OPTIMIZER, OTHERS, SHAPE

SCALES = (0.5, 1.0, 2.0)
"""Length scales tried for the level of the LR and for the shape of its curve, in units of log LR."""
OTHER_SCALE = 3.0
"""Of other parameters, in widths of their range: on their own they matter little."""
NOISES = (1e-3, 1e-2, 1e-1)
"""Shares of the variance that another seed would change."""

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Process:
    """A process that has seen values at points."""

    weights: Vector
    """(d,): by which features are multiplied."""
    noise: float
    points: Vector
    """(n, d), weighted."""
    values: Vector
    """(n,)"""
    inverse: Vector
    """(n, n): of the lower Cholesky factor of the kernel with its noise."""
    residual: Vector
    """(n,): `inverse` times the standardised values."""
    mean: float
    scale: float

    @classmethod
    def fitted(cls, points: Vector, values: Vector, groups: NDArray[np.int_]) -> Process:
        """Return the process whose length scales and noise explain the values best.

        Args:
            points: (n, d), n at least 2.
            values: (n,), not all of them equal.
            groups: (d,), of each feature.
        """
        mean, spread = float(values.mean()), float(values.std())
        best, found = -math.inf, None
        for weights, noise in _grid(groups):
            made = cls._of(points * weights, values, weights, noise, mean, spread)
            likelihood = made._likelihood()
            if likelihood > best:
                best, found = likelihood, made
        assert found is not None
        return found

    def seeing(self, points: Vector, values: Vector) -> Process:
        """Return the process that has seen more points (m, d) and values (m,); length scales and noise stay."""
        every = np.vstack([self.points, points * self.weights])
        return self._of(every, np.append(self.values, values), self.weights, self.noise, self.mean, self.scale)

    @property
    def least(self) -> float:
        """The least mean at a point that has been seen: the best value, less the luck that it may have had."""
        return float((self.values - self.scale * self.noise * (self.inverse.T @ self.residual)).min())

    def expected(self, points: Vector) -> tuple[Vector, Vector]:
        """Return mean and standard deviation at points (m, d): (m,) and (m,)."""
        across = self.inverse @ _kernel(self.points, points * self.weights)
        variance = np.maximum(1 - (across**2).sum(axis=0), 1e-9)
        scale = self.scale * math.sqrt(self._variance())
        return self.mean + self.scale * (across.T @ self.residual), scale * np.sqrt(variance)

    @classmethod
    def _of(cls, points: Vector, values: Vector, weights: Vector, noise: float, mean: float, scale: float) -> Process:
        kernel = _kernel(points, points)
        kernel[np.diag_indices_from(kernel)] += noise
        inverse = np.asarray(np.linalg.inv(np.linalg.cholesky(kernel)), dtype=np.float64)
        residual: Vector = inverse @ ((values - mean) / scale)
        return cls(weights, noise, points, values, inverse, residual, mean, scale)

    def _variance(self) -> float:
        """Return the kernel's variance that is likeliest, in units of the values' own."""
        return float(self.residual @ self.residual) / len(self.residual)

    def _likelihood(self) -> float:
        """Return the logarithm of the marginal likelihood at the likeliest variance, up to a constant."""
        return -0.5 * len(self.values) * math.log(self._variance()) + float(np.log(np.diag(self.inverse)).sum())


def _grid(groups: NDArray[np.int_]) -> Iterator[tuple[Vector, float]]:
    for level, shape, noise in product(SCALES, SCALES, NOISES):
        scales = np.ones(4)
        scales[[LEVEL, SHAPE, OPTIMIZER, OTHERS]] = (level, shape, 1.0, OTHER_SCALE)
        yield 1 / scales[groups], noise


def _kernel(left: Vector, right: Vector) -> Vector:
    squares = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1)[None] - 2 * left @ right.T
    far = np.sqrt(5 * np.maximum(squares, 0))
    kernel: Vector = (1 + far + far**2 / 3) * np.exp(-far)
    return kernel
