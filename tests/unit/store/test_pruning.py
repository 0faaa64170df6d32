"""The decision at a rung."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces.study import PrunerSpec
from store.pruning import passes

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
