"""Paired comparisons against SciPy's tests, and the noise of the seeds against its definition."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from search_spaces.baselines import BASELINES
from search_spaces.results import Arm
from service.paired import (
    margin_of,
    mean_of,
    non_inferiority,
    paired_gain,
    paired_gains,
    residual_deviation,
    seed_correlation,
    seed_deviation,
)

NAN = math.nan
values = st.floats(-100, 100).map(lambda value: round(value, 3))


def by_seed(values: Sequence[float]) -> dict[int, float]:
    return dict(enumerate(values))


def arms(*tables: Sequence[float]) -> list[Arm]:
    known: dict[str, Any] = {"role": "candidate", "candidate": BASELINES["adam-constant"]}
    return [Arm(name=f"arm-{place}", values=by_seed(table), **known) for place, table in enumerate(tables)]


@settings(deadline=None)
@given(pairs=st.lists(st.tuples(values, values), min_size=2, max_size=12))
def test_interval_and_p_value_are_those_of_the_paired_t_test(pairs: list[tuple[float, float]]) -> None:
    """Mean, 95 % interval and p-value of the gain agree with scipy.stats.ttest_rel."""
    candidate, reference = ([pair[side] for pair in pairs] for side in (0, 1))
    if np.ptp(np.subtract(candidate, reference)) < 1e-6:
        return

    found = paired_gain(by_seed(candidate), by_seed(reference), "maximize")

    assert found is not None
    expected = stats.ttest_rel(candidate, reference)
    np.testing.assert_allclose(found.interval, expected.confidence_interval(0.95), rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(found.p_value, expected.pvalue, rtol=1e-6, atol=1e-12)
    assert found.distinguishable is (not found.interval[0] <= 0 <= found.interval[1])


def test_a_gain_is_positive_when_better_and_counts_seeds_that_both_have() -> None:
    """A lower loss is a gain; a seed that one side lacks, or on which it diverged, is left out."""
    candidate, reference = {1: 1.0, 2: 1.5, 3: 7.0, 4: NAN}, {2: 2.0, 1: 2.0, 4: 3.0, 5: 0.0}

    assert paired_gains(candidate, reference, "minimize").tolist() == [1.0, 0.5]
    assert paired_gains(candidate, reference, "maximize").tolist() == [-1.0, -0.5]
    assert mean_of(candidate) == pytest.approx(9.5 / 3)


def test_too_few_seeds_show_nothing() -> None:
    """One common seed has no interval and no test."""
    assert paired_gain({1: 1.0, 2: NAN}, {1: 2.0, 2: 3.0}, "minimize") is None
    assert non_inferiority({1: 1.0}, {1: 2.0}, "minimize", margin=1.0) is None
    assert seed_deviation(arms([1.0], [2.0])) is None
    assert mean_of({1: NAN}) is None


def test_equal_gains_have_no_spread() -> None:
    """Equal up to rounding: the interval is a point, there is no p-value, and nothing is told apart."""
    found = paired_gain(by_seed([0.1, 0.2, 0.3]), by_seed([0.2, 0.3, 0.4]), "minimize")

    assert found is not None
    assert found.interval == (found.gain, found.gain)
    assert math.isnan(found.p_value)
    assert not found.distinguishable


def test_non_inferiority_is_the_one_sided_t_test_of_a_loss_as_large_as_the_margin() -> None:
    """It holds where SciPy's one-sided p-value against -margin is below the level, and not elsewhere."""
    rng = np.random.default_rng(0)
    for margin in (0.2, 0.5, 1.0, 2.0):
        candidate, reference = rng.normal(0.0, 1.0, (2, 6))

        found = non_inferiority(by_seed(candidate), by_seed(reference), "maximize", margin)

        assert found is not None
        p_value = stats.ttest_1samp(candidate - reference, -margin, alternative="greater").pvalue
        assert found.holds is bool(p_value < 0.05)


def test_twins_are_not_inferior_and_a_margin_is_above_zero() -> None:
    """The same values on every seed: a loss of any margin is ruled out; a margin of 0 is refused."""
    twin = by_seed([0.3, 0.1, 0.2])

    found = non_inferiority(twin, twin, "minimize", margin=0.01)

    assert found is not None
    assert found.holds
    with pytest.raises(ValueError, match="margin"):
        non_inferiority(twin, twin, "minimize", margin=0.0)


def test_the_noise_of_the_seeds_and_its_common_part() -> None:
    """Pooled over arms; taken apart into what a seed does to all arms alike and what is left."""
    rng = np.random.default_rng(1)
    common, own = rng.normal(0.0, 0.8, 4000), rng.normal(0.0, 0.6, (3, 4000))
    made = arms(*(common + own + np.array([[0.0], [5.0], [-2.0]])))

    assert seed_deviation(made) == pytest.approx(1.0, abs=0.03)
    assert margin_of(made) == pytest.approx(0.5, abs=0.015)
    assert residual_deviation(made) == pytest.approx(0.6, abs=0.02)
    assert seed_correlation(made) == pytest.approx(0.64, abs=0.03)


def test_an_arm_that_diverged_lends_its_other_seeds_to_the_noise_only() -> None:
    """The deviation within an arm needs no whole table; the part without the seeds' does."""
    made = arms([1.0, 3.0], [2.0, 4.0], [NAN, 5.0])

    assert seed_deviation(made) == pytest.approx(math.sqrt(2))
    assert residual_deviation(made) == 0
    assert seed_correlation(made) == 1
    assert residual_deviation(made[1:]) is None
    assert seed_correlation(made[1:]) == 0
    assert margin_of(arms([1.0, 1.0])) is None
