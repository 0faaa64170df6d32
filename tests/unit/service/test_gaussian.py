"""The Gaussian process: compared with another's, and how it chooses its length scales."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern

from service.features import LEVEL, OPTIMIZER, OTHERS, SHAPE
from service.gaussian import NOISES, SCALES, Process, Vector

GROUPS = np.array([LEVEL, SHAPE, SHAPE, OPTIMIZER, OTHERS])


def points(count: int, seed: int) -> Vector:
    return np.random.default_rng(seed).normal(size=(count, len(GROUPS)))


def test_it_expects_what_another_library_does() -> None:
    """scikit-learn's process with the same kernel and noise has the same means and deviations."""
    seen, values, asked = points(30, 0), np.sin(points(30, 0)).sum(axis=1), points(50, 1)

    ours = Process.fitted(seen, values, GROUPS)
    means, deviations = ours.expected(asked)

    variance = float(ours.residual @ ours.residual) / 30
    kernel = ConstantKernel(variance) * Matern(length_scale=1.0, nu=2.5)
    other = GaussianProcessRegressor(kernel, alpha=variance * ours.noise, optimizer=None)
    other.fit(seen * ours.weights, (values - values.mean()) / values.std())
    theirs, spread = other.predict(asked * ours.weights, return_std=True)
    assert means == pytest.approx(values.mean() + values.std() * theirs, rel=1e-6)
    assert ours.least == pytest.approx(ours.expected(seen)[0].min(), rel=1e-6)
    assert deviations == pytest.approx(values.std() * spread, rel=1e-6)


def test_seeing_one_more_is_the_same_as_having_seen_it() -> None:
    """Length scales, noise and the level of the values stay."""
    seen, values = points(20, 2), points(20, 2)[:, 0]
    process = Process.fitted(seen, values, GROUPS)

    later = process.seeing(seen[:1] + 0.1, np.array([-1.0]))

    means, _ = later.expected(seen[:1] + 0.1)
    before, _ = process.expected(seen[:1] + 0.1)
    assert abs(means[0] + 1.0) < abs(before[0] + 1.0)
    assert (later.noise, later.mean, later.scale) == (process.noise, process.mean, process.scale)


def test_scales_and_noise_are_those_of_the_data() -> None:
    """A slope along the level alone gets a longer scale there than a wave, and the least noise; pure noise the most."""
    seen = points(60, 3)

    smooth, wave = (Process.fitted(seen, np.sin(k * seen[:, 0]), GROUPS) for k in (0.5, 4.0))
    rough = Process.fitted(seen, np.random.default_rng(4).normal(size=60), GROUPS)

    assert smooth.noise == min(NOISES)
    assert rough.noise == max(NOISES)
    assert smooth.weights[0] < wave.weights[0] == 1 / min(SCALES)
