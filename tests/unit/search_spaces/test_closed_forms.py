"""Every family against its formula, written once more for a single step in plain Python."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from search_spaces.schedules import AnySchedule, curve

ANY_SCHEDULE: TypeAdapter[AnySchedule] = TypeAdapter(AnySchedule)
Formula = Callable[[int, int], float]


def frac(share: float, horizon: int) -> int:
    return max(1, int(share * horizon + 0.5))


def one_cycle(t: int, horizon: int) -> float:
    first, last, peak = 1 / 20, 1 / 20 / 100, 0.4 * horizon - 1
    if t <= peak:
        return first + (1 - first) * t / peak
    return 1 + (last - 1) * (t - peak) / (horizon - 1 - peak)


def three_phases(t: int, horizon: int) -> float:
    first, last, peak = 1 / 20, 1 / 20 / 100, 0.4 * horizon - 1
    if t <= peak:
        return first + (1 - first) * (1 - math.cos(math.pi * t / peak)) / 2
    if t <= 2 * peak:
        return 1 + (first - 1) * (1 - math.cos(math.pi * (t - peak) / peak)) / 2
    share = (t - 2 * peak) / (horizon - 1 - 2 * peak)
    return first + (last - first) * (1 - math.cos(math.pi * share)) / 2


def triangular(t: int, horizon: int, scale: Callable[[int, int], float] = lambda _t, _cycle: 1.0) -> float:
    length = frac(0.3, horizon)
    cycle, place = divmod(t, length)
    share = place / length
    up = share / 0.25 if share <= 0.25 else (1 - share) / 0.75
    return 0.1 + 0.9 * up * scale(t, cycle)


def wsd(fall: Callable[[float], float]) -> Formula:
    def value(t: int, horizon: int) -> float:
        start = horizon - frac(0.3, horizon)
        return 1.0 if t < start else fall((t - start) / (horizon - start))

    return value


def two_point(t: int, horizon: int) -> float:
    u, knots = t / horizon, [(0.0, 0.0), (0.2, 1.0), (0.44, 0.8), (0.72, 0.2), (1.0, 0.1)]
    for (x0, y0), (x1, y1) in pairwise(knots):
        if x0 <= u <= x1:
            return y0 + (y1 - y0) * (u - x0) / (x1 - x0)
    raise AssertionError(u)


def cycled_polynomial(t: int, horizon: int) -> float:
    length = frac(0.3, horizon)
    end = length * max(1, math.ceil(t / length))
    return 0.9 * (1 - t / end) ** 2 + 0.1


FORMULAS: list[tuple[dict[str, Any], Formula]] = [
    ({"kind": "constant"}, lambda t, h: 1.0),
    (
        {"kind": "piecewise", "boundaries": [0.2, 0.5], "values": [0.5, 1, 0]},
        lambda t, h: 0.5 if t < frac(0.2, h) else 1.0 if t < frac(0.5, h) else 0.0,
    ),
    ({"kind": "step", "step_size": 0.3, "gamma": 0.5}, lambda t, h: 0.5 ** (t // frac(0.3, h))),
    (
        {"kind": "multistep", "milestones": [0.3, 0.6, 0.6], "gamma": 0.2},
        lambda t, h: 0.2 ** sum(t >= frac(m, h) for m in (0.3, 0.6, 0.6)),
    ),
    ({"kind": "exponential", "final_factor": 0.01}, lambda t, h: 0.01 ** (t / h)),
    ({"kind": "natural_exponential", "rate": 3.0}, lambda t, h: math.exp(-3 * t / h)),
    ({"kind": "inverse_time", "decay": 9.0}, lambda t, h: 1 / (1 + 9 * t / h)),
    ({"kind": "linear", "start_factor": 0.2, "end_factor": 0.9}, lambda t, h: 0.2 + 0.7 * t / h),
    ({"kind": "polynomial", "power": 2.5}, lambda t, h: (1 - t / h) ** 2.5),
    (
        {"kind": "polynomial", "power": 2, "end_factor": 0.1, "cycle_length": 0.3},
        lambda t, h: 0.9 * (1 - min(t, frac(0.3, h)) / frac(0.3, h)) ** 2 + 0.1,
    ),
    ({"kind": "polynomial", "power": 2, "end_factor": 0.1, "cycle": True, "cycle_length": 0.3}, cycled_polynomial),
    ({"kind": "cosine", "end_factor": 0.1}, lambda t, h: 0.1 + 0.9 * (1 + math.cos(math.pi * t / h)) / 2),
    ({"kind": "cosine", "cycles": 0.25}, lambda t, h: (1 + math.cos(math.pi * t / h / 2)) / 2),
    ({"kind": "noam", "peak": 0.1}, lambda t, h: min((t + 1) / frac(0.1, h), math.sqrt(frac(0.1, h) / (t + 1)))),
    (
        {"kind": "one_cycle", "peak_fraction": 0.4, "div_factor": 20, "final_div_factor": 100, "anneal": "linear"},
        one_cycle,
    ),
    (
        {"kind": "one_cycle", "peak_fraction": 0.4, "div_factor": 20, "final_div_factor": 100, "three_phase": True},
        three_phases,
    ),
    ({"kind": "cyclic", "floor": 0.1, "cycle_length": 0.3, "up_fraction": 0.25}, triangular),
    (
        {"kind": "cyclic", "floor": 0.1, "cycle_length": 0.3, "up_fraction": 0.25, "mode": "triangular2"},
        lambda t, h: triangular(t, h, lambda _t, cycle: 0.5**cycle),
    ),
    (
        {"kind": "cyclic", "floor": 0.1, "cycle_length": 0.3, "up_fraction": 0.25, "mode": "exp_range", "gamma": 0.9},
        lambda t, h: triangular(t, h, lambda t, _cycle: 0.9**t),
    ),
    ({"kind": "wsd", "decay_fraction": 0.3, "end_factor": 0.1}, wsd(lambda v: 0.1 + 0.9 * (1 - v))),
    (
        {"kind": "wsd", "decay_fraction": 0.3, "shape": "cosine", "end_factor": 0.1},
        wsd(lambda v: 0.1 + 0.9 * (1 + math.cos(math.pi * v)) / 2),
    ),
    ({"kind": "wsd", "decay_fraction": 0.3, "shape": "sqrt"}, wsd(lambda v: 1 - math.sqrt(v))),
    ({"kind": "wsd", "decay_fraction": 0.3, "shape": "exponential", "end_factor": 0.1}, wsd(lambda v: 0.1**v)),
    ({"kind": "rex"}, lambda t, h: (1 - t / h) / (1 - t / h / 2)),
    ({"kind": "rex", "beta": 3}, lambda t, h: (1 - t / h) / (1 + 2 * t / h)),
    ({"kind": "tanh"}, lambda t, h: (1 - math.tanh(-6 + 9 * t / h)) / 2),
    (
        {"kind": "two_point", "peak_at": 0.2, "y1": 0.8, "delta1": 0.3, "delta2": 0.5, "delta_y": 0.25,
         "end_factor": 0.1},
        two_point,
    ),
    ({"kind": "inverse_sqrt", "timescale": 0.2}, lambda t, h: math.sqrt(frac(0.2, h) / (t + frac(0.2, h)))),
    ({"kind": "power", "timescale": 0.2, "exponent": 0.7}, lambda t, h: (1 + t / frac(0.2, h)) ** -0.7),
    ({"kind": "knots", "positions": [0, 0.5, 1], "values": [1, 0, 1]}, lambda t, h: abs(1 - 2 * t / h)),
    (
        {"kind": "knots", "positions": [0, 1], "values": [1, 0.01], "interpolation": "log"},
        lambda t, h: 0.01 ** (t / h),
    ),
    (
        {"kind": "expression", "formula": "max(1 - u, a) * floor(T / (t + 1)) ** 0", "numbers": {"a": 0.3}},
        lambda t, h: max(1 - t / h, 0.3),
    ),
]  # fmt: skip


def named(case: tuple[dict[str, Any], Formula]) -> str:
    return "-".join(str(value) for value in case[0].values() if isinstance(value, str))


@pytest.mark.parametrize("case", FORMULAS, ids=named)
@pytest.mark.parametrize("horizon", [41, 1000])
def test_the_curve_is_the_formula(case: tuple[dict[str, Any], Formula], horizon: int) -> None:
    """Every step of the vectorised curve is the formula's value, to 1e-9."""
    document, formula = case

    drawn = curve(ANY_SCHEDULE.validate_python(document), horizon)

    expected = [formula(t, horizon) for t in range(horizon)]
    np.testing.assert_allclose(drawn, expected, rtol=0, atol=1e-9)


LENGTHS = {0.05: [1, 1, 1, 1, 50_000], 0.25: [1, 1, 1, 2, 250_000], 0.5: [1, 1, 2, 4, 500_000],
           0.9: [1, 2, 3, 6, 900_000], 1.0: [1, 2, 3, 7, 1_000_000]}  # fmt: skip
"""A fraction of T = 1, 2, 3, 7, 10^6 in whole steps: rounded half up, at least 1."""

FIRST_CHANGE: dict[str, Callable[[float], dict[str, Any]]] = {
    "step": lambda share: {"step_size": share, "gamma": 0.5},
    "multistep": lambda share: {"milestones": [share], "gamma": 0.5},
    "piecewise": lambda share: {"boundaries": [share], "values": [1, 0.5]},
    "polynomial": lambda share: {"power": 1, "cycle_length": share},
}
"""Specs whose curve reaches its second value, or its end, at the resolved step."""


@pytest.mark.parametrize("kind", FIRST_CHANGE)
@pytest.mark.parametrize("share", LENGTHS)
def test_a_length_is_rounded_half_up(kind: str, share: float) -> None:
    """At T = 1, 2, 3, 7 and 10^6 the new value holds from max(1, floor(x T + 1/2)) on, that step included."""
    schedule = ANY_SCHEDULE.validate_python({"kind": kind, **FIRST_CHANGE[kind](share)})
    new_value = 0.0 if kind == "polynomial" else 0.5

    drawn = {horizon: curve(schedule, horizon) for horizon in (1, 2, 3, 7, 10**6)}

    for expected, (horizon, values) in zip(LENGTHS[share], drawn.items(), strict=True):
        assert expected == horizon or values[expected] == new_value
        assert values[expected - 1] > new_value


@pytest.mark.parametrize("share", LENGTHS)
def test_a_cooldown_takes_its_rounded_length(share: float) -> None:
    """WSD stays at 1 up to T - D, where the decay begins with 1 once more."""
    schedule = ANY_SCHEDULE.validate_python({"kind": "wsd", "decay_fraction": share})

    drawn = {horizon: curve(schedule, horizon) for horizon in (1, 2, 3, 7, 10**6)}

    for length, (horizon, values) in zip(LENGTHS[share], drawn.items(), strict=True):
        assert (values[: horizon - length + 1] == 1).all()
        assert horizon - length + 1 == horizon or values[horizon - length + 1] < 1


@pytest.mark.parametrize("share", LENGTHS)
def test_noam_peaks_at_its_rounded_length(share: float) -> None:
    """The peak is the last of the w steps of the rise."""
    schedule = ANY_SCHEDULE.validate_python({"kind": "noam", "peak": share})

    peaks = [int(np.argmax(curve(schedule, horizon))) + 1 for horizon in (1, 2, 3, 7, 10**6)]

    assert peaks == LENGTHS[share]
