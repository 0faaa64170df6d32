"""What holds of every schedule, whatever its parameters and modifiers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from search_spaces.modifiers import Restarts
from search_spaces.problems import HorizonTooShort
from search_spaces.schedules import (
    FAMILIES,
    AnySchedule,
    Linear,
    Schedule,
    check_horizon,
    curve,
    factors,
    rise_steps,
    warmup_steps,
)

from .specs import BODIES, DRAWABLE, documents

ANY_SCHEDULE: TypeAdapter[AnySchedule] = TypeAdapter(AnySchedule)
UNBOUNDED = ("piecewise", "knots", "expression")
"""Kinds whose values are the user's own, above 1 too."""

HIGHEST_FIRST = (
    "constant", "step", "multistep", "exponential", "natural_exponential", "inverse_time", "linear", "polynomial",
    "cosine", "wsd", "rex", "inverse_sqrt", "power",
)  # fmt: skip
"""Kinds whose body begins at its peak, the initial LR (`linear`: at its start factor)."""

horizons = st.sampled_from([1, 2, 3, 7]) | st.integers(1, 400)
examples = settings(deadline=None, derandomize=True, database=None)


def fitting(schedule: Schedule, horizon: int) -> int:
    """Return the horizon, or the least that the schedule fits into."""
    try:
        check_horizon(schedule, horizon)
    except HorizonTooShort as problem:
        return problem.least_steps
    return horizon


def test_every_kind_is_drawn() -> None:
    """A new family is not forgotten here."""
    assert set(BODIES) == set(FAMILIES)


@pytest.mark.parametrize("kind", DRAWABLE)
def test_a_curve_is_finite_and_not_negative(kind: str) -> None:
    """A curve has T finite values >= 0, none above the initial LR unless the spec says so itself."""

    @examples
    @given(documents(kind), horizons)
    def holds(document: dict[str, object], horizon: int) -> None:
        schedule = ANY_SCHEDULE.validate_python(document)
        steps = fitting(schedule, horizon)

        drawn = curve(schedule, steps)

        assert drawn.shape == (steps,)
        assert drawn.dtype == np.float64
        assert np.isfinite(drawn).all()
        assert (drawn >= 0).all()
        assert kind in UNBOUNDED or drawn.max() <= 1 + 1e-12

    holds()


@pytest.mark.parametrize("kind", DRAWABLE)
def test_a_curve_may_be_asked_for_in_pieces(kind: str) -> None:
    """Each value depends on its step alone: any steps in any order give the curve's values there."""

    @examples
    @given(documents(kind), horizons)
    def holds(document: dict[str, object], horizon: int) -> None:
        schedule = ANY_SCHEDULE.validate_python(document)
        steps = fitting(schedule, horizon)
        shuffled = np.random.default_rng(steps).permutation(steps)

        drawn = factors(schedule, shuffled, steps)

        np.testing.assert_array_equal(drawn, curve(schedule, steps)[shuffled])
        held = factors(schedule, np.array([[steps, steps + 1000]]), steps, hold=True)
        assert held.tolist() == [[curve(schedule, steps)[-1]] * 2]

    holds()


@pytest.mark.parametrize("kind", list(FAMILIES))
def test_json_brings_a_spec_back(kind: str) -> None:
    """A spec written to JSON and read again is the same spec."""

    @examples
    @given(documents(kind))
    def holds(document: dict[str, object]) -> None:
        schedule = ANY_SCHEDULE.validate_python(document)

        again = ANY_SCHEDULE.validate_json(schedule.model_dump_json())

        assert again == schedule

    holds()


@pytest.mark.parametrize("kind", DRAWABLE)
def test_a_horizon_too_short_names_one_that_fits(kind: str) -> None:
    """`least_steps` fits and one step less does not; the field is one of the spec's."""

    @examples
    @given(documents(kind))
    def holds(document: dict[str, object]) -> None:
        schedule = ANY_SCHEDULE.validate_python(document)

        with pytest.raises(HorizonTooShort) as caught:
            check_horizon(schedule, 0)

        least = caught.value.least_steps
        check_horizon(schedule, least)
        with pytest.raises(HorizonTooShort) as again:
            check_horizon(schedule, least - 1)
        parts = (again.value.field or "").split(".")
        assert parts == ["horizon"] or hasattr(schedule, parts[0])

    holds()


@pytest.mark.parametrize("kind", DRAWABLE)
def test_the_rise_lies_within_the_horizon(kind: str) -> None:
    """The steps of a rise include those of the warm-up and are no more than the horizon."""

    @examples
    @given(documents(kind), horizons)
    def holds(document: dict[str, object], horizon: int) -> None:
        schedule = ANY_SCHEDULE.validate_python(document)
        steps = fitting(schedule, horizon)

        rise = rise_steps(schedule, steps)

        assert 0 <= warmup_steps(schedule, steps) <= rise <= steps

    holds()


@pytest.mark.parametrize("kind", HIGHEST_FIRST)
def test_the_peak_is_reached_where_it_is_promised(kind: str) -> None:
    """At the first step behind the warm-up, or the last of its inclusive rise; anew in each cycle; last in reverse."""

    @examples
    @given(documents(kind), horizons)
    def holds(document: dict[str, object], horizon: int) -> None:
        schedule = ANY_SCHEDULE.validate_python(document)
        steps = fitting(schedule, horizon)
        w = warmup_steps(schedule, steps)
        restarts = schedule.restarts or Restarts(count=1)
        ends = [0, *restarts.ends(steps - w).tolist()]
        peak = schedule.start_factor if isinstance(schedule, Linear) else 1.0
        peaks = peak * restarts.peak_gamma ** np.arange(restarts.count)

        drawn = curve(schedule, steps)

        places = np.array(ends[1:]) - 1 if schedule.reverse else np.array(ends[:-1])
        np.testing.assert_allclose(drawn[w + places], peaks, rtol=1e-12)
        if schedule.warmup is not None and schedule.warmup.inclusive and schedule.warmup.shape != "constant":
            np.testing.assert_allclose(drawn[w - 1], first(schedule, steps - w))

    holds()


def first(schedule: Schedule, left: int) -> float:
    """What the warm-up rises to: the first factor that is played behind it."""
    return float(curve(schedule.model_copy(update={"warmup": None}), left)[0])


@pytest.mark.parametrize("kind", ["noam", "one_cycle", "cyclic", "two_point"])
def test_a_rise_of_its_own_reaches_the_peak(kind: str) -> None:
    """On horizons that its turning point divides, the body reaches 1 there and is nowhere above."""
    turns = {"noam": {"peak": 0.25}, "one_cycle": {"peak_fraction": 0.25},
             "cyclic": {"floor": 0.1, "cycle_length": 0.5},
             "two_point": {"peak_at": 0.25, "y1": 0.5, "delta1": 0.5, "delta2": 0.5, "delta_y": 0.5}}  # fmt: skip
    at = {"noam": 9, "one_cycle": 9, "cyclic": 10, "two_point": 10}

    drawn = curve(ANY_SCHEDULE.validate_python({"kind": kind, **turns[kind]}), 40)

    assert drawn[at[kind]] == pytest.approx(1, abs=1e-12)
    assert drawn.max() <= 1 + 1e-12


@pytest.mark.parametrize("kind", DRAWABLE)
def test_a_long_curve_is_whole(kind: str) -> None:
    """A million steps are drawn whole, and end where the one step asked for alone is."""

    @settings(max_examples=2, deadline=None, derandomize=True, database=None)
    @given(documents(kind))
    def holds(document: dict[str, object]) -> None:
        schedule = ANY_SCHEDULE.validate_python(document)
        horizon = 10**6

        drawn = curve(schedule, horizon)

        assert np.isfinite(drawn).all()
        assert factors(schedule, np.array([horizon - 1]), horizon)[0] == drawn[-1]

    holds()


@pytest.mark.parametrize("steps", [[-1], [5], [0, 7]])
def test_steps_outside_are_an_error(steps: list[int]) -> None:
    """Outside [0, T) there is no value, and below 0 not even a held one."""
    schedule = ANY_SCHEDULE.validate_python({"kind": "cosine"})

    with pytest.raises(ValueError, match="steps lie in"):
        factors(schedule, np.array(steps), 5)

    with pytest.raises(ValueError, match="steps lie in"):
        factors(schedule, np.array([-1]), 5, hold=True)


def test_steps_are_whole_numbers() -> None:
    """A float step is an error: it would silently be cut."""
    schedule = ANY_SCHEDULE.validate_python({"kind": "cosine"})

    with pytest.raises(ValueError, match="whole numbers"):
        factors(schedule, np.array([0.5]), 5)  # type: ignore[arg-type]
