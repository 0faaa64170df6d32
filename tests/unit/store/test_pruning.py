"""The decision at a rung."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces.study import PrunerSpec
from store.pruning import Seen, at_phase, passes

values = st.lists(st.floats(-1e6, 1e6), min_size=5, max_size=60)


@given(values, st.floats(-1e6, 1e6))
def test_median_agrees_with_numpy(others: list[float], own: float) -> None:
    """`median` keeps exactly what is no worse than numpy's median of the others."""
    expected = own <= np.median(others)

    assert passes(own, others, PrunerSpec(kind="median"), "minimize") == expected


@given(values, st.sampled_from([0.1, 0.5, 0.69, 0.9]))
def test_halving_keeps_its_share(pool: list[float], keep: float) -> None:
    """Of distinct values seen together, `keep` of them pass, rounded down, and at least one."""
    distinct = sorted(set(pool))
    if len(distinct) < 6:
        return
    pruner = PrunerSpec(kind="halving", keep=keep)

    kept = [v for v in distinct if passes(v, [o for o in distinct if o != v], pruner, "minimize")]

    assert kept == distinct[: max(1, int(keep * len(distinct)))]


@given(values, st.floats(-1e6, 1e6), st.sampled_from(["median", "halving"]))
def test_direction_is_a_mirror(others: list[float], own: float, kind: str) -> None:
    """To maximize is to minimize the negative."""
    pruner = PrunerSpec.model_validate({"kind": kind})

    up = passes(own, others, pruner, "maximize")

    assert up == passes(-own, [-v for v in others], pruner, "minimize")


@pytest.mark.parametrize("kind", ["median", "halving"])
def test_nan_passes_nowhere(kind: str) -> None:
    """A value that is nan is the worst there is."""
    pruner = PrunerSpec.model_validate({"kind": kind})

    assert not passes(float("nan"), [1.0] * 10, pruner, "minimize")
    assert passes(1.0, [float("nan")] * 10, pruner, "maximize")


@pytest.mark.parametrize("kind", ["median", "halving"])
def test_few_values_decide_nothing(kind: str) -> None:
    """A rung that has seen fewer than startup_trials others lets everything pass."""
    pruner = PrunerSpec.model_validate({"kind": kind, "startup_trials": 5})

    assert passes(9.0, [1.0] * 4, pruner, "minimize")
    assert not passes(9.0, [1.0] * 5, pruner, "minimize")


def test_none_prunes_nothing() -> None:
    """Without a pruner the worst value goes on."""
    assert passes(9.0, [1.0] * 50, PrunerSpec(kind="none"), "minimize")


def test_without_a_phase_all_others_are_compared_with() -> None:
    """One's own value is left out once, the last of those alike, nan as any other."""
    seen = [Seen(1.0), Seen(2.0), Seen(1.0), Seen(math.nan)]

    assert at_phase(Seen(1.0), seen, 5)[:2] == [1.0, 2.0]
    assert at_phase(Seen(math.nan), seen, 5) == [1.0, 2.0, 1.0]


def test_with_a_phase_the_nearest_third_is_compared_with() -> None:
    """Of twelve others the four whose schedules have come about as far; one without a phase is the farthest."""
    others = [Seen(float(place), place / 12) for place in range(11)] + [Seen(99.0)]
    own = Seen(-1.0, 0.47)

    assert sorted(at_phase(own, [*others, own], 2)) == [4.0, 5.0, 6.0, 7.0]


def test_a_phase_is_compared_with_as_many_as_a_rung_asks_for() -> None:
    """A third of few values would let anything pass: the rung's own least holds."""
    others = [Seen(float(place), place / 12) for place in range(6)]

    assert len(at_phase(Seen(9.0, 0.0), others, 5)) == 5


@pytest.mark.parametrize("written", ["0.25", "0.25:0.5", "nan:1", "-inf"])
def test_what_was_seen_is_read_as_it_is_written(written: str) -> None:
    """A value alone, or with its phase."""
    value, _, phase = written.partition(":")

    found = Seen.read(written)

    assert str(found.value) == str(float(value))
    assert found.phase == (float(phase) if phase else None)
