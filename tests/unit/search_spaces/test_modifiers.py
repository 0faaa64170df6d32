"""Warm-up, restarts and reversal: what each does, and the order in which they are put around a body."""

from __future__ import annotations

import numpy as np
import pytest

from search_spaces.modifiers import Restarts, Warmup
from search_spaces.problems import HorizonTooShort
from search_spaces.schedules import (
    Constant,
    Cosine,
    Cyclic,
    Linear,
    Noam,
    OneCycle,
    Plateau,
    TwoPoint,
    area_left,
    check_horizon,
    curve,
    rise_steps,
    warmup_steps,
)


@pytest.mark.parametrize(
    ("shape", "inclusive", "expected"),
    [
        ("linear", True, [0.4, 0.6, 0.8, 1.0]),
        ("linear", False, [0.2, 0.4, 0.6, 0.8]),
        ("cosine", True, [0.2 + 0.8 * (1 - np.cos(np.pi * v)) / 2 for v in (0.25, 0.5, 0.75, 1)]),
        ("cosine", False, [0.2 + 0.8 * (1 - np.cos(np.pi * v)) / 2 for v in (0, 0.25, 0.5, 0.75)]),
        ("exponential", True, [0.2**0.75, 0.2**0.5, 0.2**0.25, 1.0]),
        ("exponential", False, [0.2, 0.2**0.75, 0.2**0.5, 0.2**0.25]),
        ("constant", True, [0.2, 0.2, 0.2, 0.2]),
        ("constant", False, [0.2, 0.2, 0.2, 0.2]),
    ],
)
def test_a_warmup_rises_by_its_shape(shape: str, inclusive: bool, expected: list[float]) -> None:
    """The first w steps are start + (1 - start) v by shape, then the body begins."""
    warmup = Warmup.model_validate({"fraction": 0.4, "start_factor": 0.2, "shape": shape, "inclusive": inclusive})

    drawn = curve(Constant(warmup=warmup), 10)

    np.testing.assert_allclose(drawn, [*expected, *[1.0] * 6], rtol=1e-12)


def test_a_warmup_multiplies_the_first_value_of_the_body() -> None:
    """The rise ends at the body's own first value, so that nothing jumps where it takes over."""
    schedule = Linear(start_factor=0.5, end_factor=0.5, warmup=Warmup(fraction=0.5))

    drawn = curve(schedule, 4)

    assert drawn.tolist() == [0.25, 0.5, 0.5, 0.5]


def test_the_body_runs_over_what_the_warmup_leaves() -> None:
    """After w steps the body is drawn whole over the remaining T - w."""
    schedule = Cosine(warmup=Warmup(fraction=0.25))

    drawn = curve(schedule, 40)

    np.testing.assert_array_equal(drawn[10:], curve(Cosine(), 30))


def test_by_default_no_update_is_wasted() -> None:
    """An inclusive warm-up from 0 gives the first update an LR above 0."""
    assert curve(Constant(warmup=Warmup(fraction=0.1)), 100)[0] == 0.1


@pytest.mark.parametrize(("horizon", "steps"), [(2, 1), (3, 1), (7, 1), (30, 2), (10**6, 50_000)])
def test_a_warmup_takes_its_rounded_length(horizon: int, steps: int) -> None:
    """5 % of the horizon in whole steps, rounded half up, at least 1."""
    schedule = Constant(warmup=Warmup(fraction=0.05))

    drawn = curve(schedule, horizon)

    assert warmup_steps(schedule, horizon) == steps
    assert drawn[steps - 1] == 1
    assert (drawn[: steps - 1] < 1).all()


@pytest.mark.parametrize(
    ("restarts", "horizon", "ends"),
    [
        (Restarts(count=3), 9, [3, 6, 9]),
        (Restarts(count=3), 10, [3, 7, 10]),
        (Restarts(count=3, length_multiplier=2), 7, [1, 3, 7]),
        (Restarts(count=5, length_multiplier=3), 1210, [10, 40, 130, 400, 1210]),
        (Restarts(count=5, length_multiplier=10), 1_111_100, [100, 1_100, 11_100, 111_100, 1_111_100]),
        (Restarts(count=2, length_multiplier=0.5), 9, [6, 9]),
        (Restarts(count=2, length_multiplier=1.5), 10, [4, 10]),
        (Restarts(count=1), 5, [5]),
    ],
)
def test_cycles_end_at_their_rounded_share(restarts: Restarts, horizon: int, ends: list[int]) -> None:
    """Cumulative shares of T, rounded half up; exact where a logarithm in floating point is a step late."""
    assert restarts.ends(horizon).tolist() == ends


def test_each_cycle_plays_the_whole_body() -> None:
    """Cosine with restarts is SGDR: every cycle is the body over its own length, scaled by peak_gamma."""
    schedule = Cosine(restarts=Restarts(count=3, length_multiplier=2, peak_gamma=0.5))

    drawn = curve(schedule, 70)

    expected = np.concatenate([curve(Cosine(), 10), 0.5 * curve(Cosine(), 20), 0.25 * curve(Cosine(), 40)])
    np.testing.assert_array_equal(drawn, expected)


def test_the_reset_strategy_is_constant_with_restarts() -> None:
    """A constant that is scaled down at every restart."""
    schedule = Constant(restarts=Restarts(count=3, peak_gamma=0.5))

    assert curve(schedule, 6).tolist() == [1, 1, 0.5, 0.5, 0.25, 0.25]


def test_reverse_plays_the_body_backwards() -> None:
    """f(T - 1 - t)."""
    np.testing.assert_array_equal(curve(Cosine(reverse=True), 9), curve(Cosine(), 9)[::-1])


def test_modifiers_have_one_order() -> None:
    """Reversed first, then restarted, then warmed up."""
    schedule = Linear(reverse=True, restarts=Restarts(count=2), warmup=Warmup(fraction=0.2, start_factor=1.0))

    drawn = curve(schedule, 10)

    rising = curve(Linear(), 4)[::-1]
    np.testing.assert_array_equal(drawn, np.concatenate([[rising[0]] * 2, rising, rising]))


@pytest.mark.parametrize(
    ("schedule", "horizon", "field", "least"),
    [
        (Cosine(), 0, "horizon", 1),
        (Cosine(), -3, "horizon", 1),
        (Cosine(warmup=Warmup(fraction=0.05)), 1, "warmup.fraction", 2),
        (Cosine(warmup=Warmup(fraction=0.9)), 4, "warmup.fraction", 6),
        (Cosine(restarts=Restarts(count=5)), 4, "restarts.count", 5),
        (Cosine(restarts=Restarts(count=3, length_multiplier=2)), 3, "restarts.count", 4),
        (OneCycle(), 3, "peak_fraction", 4),
        (OneCycle(peak_fraction=0.01), 100, "peak_fraction", 101),
        (OneCycle(restarts=Restarts(count=2)), 7, "peak_fraction", 8),
    ],
)
def test_a_horizon_too_short_says_what_would_do(
    schedule: Cosine | OneCycle, horizon: int, field: str, least: int
) -> None:
    """The error names the field that asks for more, and the least horizon."""
    with pytest.raises(HorizonTooShort) as caught:
        check_horizon(schedule, horizon)

    assert (caught.value.field, caught.value.least_steps) == (field, least)
    assert len(curve(schedule, least)) == least


def test_a_warmup_of_nine_tenths_fits_six_steps() -> None:
    """floor(0.9 * 5 + 1/2) = 5 leaves nothing of 5 steps, and 5 of 6 leave one."""
    schedule = Cosine(warmup=Warmup(fraction=0.9))

    drawn = curve(schedule, 6)

    assert drawn.tolist() == [0.2, 0.4, 0.6, 0.8, 1.0, 1.0]


@pytest.mark.parametrize(
    ("schedule", "steps"),
    [
        (Cosine(), 0),
        (Cosine(warmup=Warmup(fraction=0.1)), 10),
        (OneCycle(), 30),
        (Noam(peak=0.05), 5),
        (TwoPoint(peak_at=0.15, y1=1, delta1=0.5, delta2=0.5, delta_y=1), 15),
        (TwoPoint(peak_at=0.15, y1=1, delta1=0.5, delta2=0.5, delta_y=1, warmup=Warmup(fraction=0.1)), 24),
        (OneCycle(reverse=True), 0),
        (Cyclic(floor=0.1, cycle_length=0.5), 0),
    ],
)
def test_the_rise_counts_what_the_body_does_itself(schedule: Cosine, steps: int) -> None:
    """Noam, one-cycle and two-point carry a warm-up of their own: a trial inside it is not yet comparable.

    The cycles of `cyclic` are no warm-up: it rises again and again.
    """
    assert rise_steps(schedule, 100) == steps


@pytest.mark.parametrize("horizon", [100, 50_000])
def test_the_area_that_is_left_is_the_curves(horizon: int) -> None:
    """1 at the start, 0 at the end; of a line down a quarter at half time, of a constant the half."""
    half = horizon // 2

    left = [area_left(schedule, half, horizon) for schedule in (Linear(end_factor=0), Constant(), Plateau())]

    assert left == pytest.approx([0.25, 0.5, 0.5], abs=0.01)
    assert area_left(Cosine(), 0, horizon) == 1
    assert area_left(Cosine(), horizon, horizon) == 0
