"""Curves through knots."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.interpolate import PchipInterpolator

from search_spaces.schedules import TwoPoint, curve
from search_spaces.schedules.interpolation import through_line, through_pchip

U = np.linspace(0, 1, 301)


@pytest.mark.parametrize("seed", range(20))
def test_a_smooth_curve_is_scipys(seed: int) -> None:
    """Through random knots the curve is that of scipy's PchipInterpolator."""
    random = np.random.default_rng(seed)
    x = np.sort(random.uniform(0, 1, random.integers(2, 8)))
    x[0], x[-1] = 0, 1
    y = random.uniform(0, 1, len(x))

    drawn = through_pchip(U, x, y)

    np.testing.assert_allclose(drawn, PchipInterpolator(x, y)(U), atol=1e-12)


def test_a_smooth_curve_keeps_within_its_knots() -> None:
    """It does not overshoot, however steep."""
    drawn = through_pchip(U, np.array([0, 0.5, 0.5001, 1]), np.array([1, 1, 0, 0]))

    assert drawn.min() == 0
    assert drawn.max() == 1
    assert (np.diff(drawn) <= 1e-15).all()


@pytest.mark.parametrize("through", [through_line, through_pchip])
def test_one_knot_is_a_constant(through: object) -> None:
    """A single knot, or several at one place, holds everywhere."""
    assert callable(through)

    drawn = through(U, np.array([0.3, 0.3]), np.array([0.2, 0.7]))

    assert (drawn[U > 0.3] == 0.7).all()


def test_two_knots_at_one_place_are_a_jump() -> None:
    """The later value holds at the jump."""
    drawn = through_line(np.array([0, 0.49, 0.5, 1]), np.array([0, 0.5, 0.5, 1]), np.array([1, 1, 0.4, 0]))

    np.testing.assert_allclose(drawn, [1, 1, 0.4, 0])


@pytest.mark.parametrize("interpolation", ["linear", "pchip"])
def test_two_point_goes_through_its_points(interpolation: str) -> None:
    """Up to 1 at x0, then y1 at x1 and delta_y y1 at x2, on its way to the end."""
    schedule = TwoPoint.model_validate({
        "kind": "two_point", "peak_at": 0.1, "y1": 0.8, "delta1": 1 / 3, "delta2": 0.5, "delta_y": 0.25,
        "end_factor": 0.1, "interpolation": interpolation,
    })  # fmt: skip

    drawn = curve(schedule, 1000)

    assert drawn[0] == 0
    np.testing.assert_allclose(drawn[[50, 100, 400, 700]], [0.5, 1, 0.8, 0.2], atol=1e-9)
    assert drawn[-1] == pytest.approx(0.1, abs=1e-3)


def test_a_knot_next_to_zero_is_smooth_without_a_warning() -> None:
    """The smallest number there is: its slope's inverse overflows, and the curve is finite all the same."""
    drawn = through_pchip(U, np.array([0, 0.5, 1]), np.array([1, 5e-324, 0]))

    assert np.isfinite(drawn).all()
    assert (np.diff(drawn) <= 0).all()
