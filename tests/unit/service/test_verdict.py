"""The verdict's arithmetic against SciPy's paired test, and what is left open."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from search_spaces.baselines import BASELINES
from search_spaces.results import Arm
from service.verdict import Judgement, gain_interval, judge, paired_gains, with_statistics

NAN = math.nan


def arm(name: str, values: list[float], role: str = "candidate") -> Arm:
    known: dict[str, Any] = {"name": name, "role": role, "candidate": BASELINES["adam-constant"]}
    return with_statistics(Arm(**known, values=dict(enumerate(values))))


def judged(candidate: list[float], baseline: list[float], direction: Any = "minimize") -> Judgement:
    return judge([arm("candidate-1", candidate), arm("sgd-cosine", baseline, "baseline")], direction)


values = st.floats(-100, 100).map(lambda value: round(value, 3))


@settings(deadline=None)
@given(pairs=st.lists(st.tuples(values, values), min_size=2, max_size=12))
def test_interval_and_p_value_are_those_of_the_paired_t_test(pairs: list[tuple[float, float]]) -> None:
    """Mean, 95 % interval and p-value of the gain agree with scipy.stats.ttest_rel."""
    candidate, baseline = ([pair[side] for pair in pairs] for side in (0, 1))
    gains = paired_gains(dict(enumerate(candidate)), dict(enumerate(baseline)), "maximize")
    if np.ptp(gains) < 1e-6:
        return

    mean, half, p_value = gain_interval(gains)

    expected = stats.ttest_rel(candidate, baseline)
    low, high = expected.confidence_interval(0.95)
    np.testing.assert_allclose([mean - half, mean + half], [low, high], rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(p_value, expected.pvalue, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize(
    ("candidate", "baseline", "verdict"),
    [
        ([1.0, 1.1, 0.9], [2.0, 2.2, 1.9], "winner"),
        ([2.0, 2.2, 1.9], [1.0, 1.1, 0.9], "no_winner"),
        ([1.0, 1.1, 0.9], [1.1, 1.0, 0.9], "undecided"),
    ],
)
def test_the_interval_decides(candidate: list[float], baseline: list[float], verdict: str) -> None:
    """Wholly above 0 a winner, wholly below 0 none, else undecided; the other way round when higher is better."""
    turned = {"winner": "no_winner", "no_winner": "winner"}.get(verdict, verdict)

    assert judged(candidate, baseline).verdict == verdict
    assert judged(candidate, baseline, "maximize").verdict == turned


def test_a_gain_is_positive_when_better() -> None:
    """The candidate's loss is 1 lower on each of two seeds: a gain of 1, detectable from half the interval's width."""
    result = judged([1.0, 1.1], [2.0, 2.1001])

    assert result.difference is not None
    assert result.difference.gain == pytest.approx(1.00005)
    low, high = result.difference.interval
    assert result.detectable_gain == pytest.approx((high - low) / 2)
    assert (result.difference.against, result.difference.n) == ("sgd-cosine", 2)


def test_the_best_candidate_meets_the_best_baseline() -> None:
    """Of several arms the best mean of each role is compared, by the metric's direction."""
    arms = [
        arm("candidate-1", [3.0, 3.1]), arm("candidate-2", [2.0, 2.2]),
        arm("current", [1.0, 1.2], "baseline"), arm("sgd-cosine", [5.0, 5.1], "baseline"),
    ]  # fmt: skip

    low, high = judge(arms, "minimize"), judge(arms, "maximize")

    assert (low.finalist, low.best_baseline) == ("candidate-2", "current")
    assert (high.finalist, high.best_baseline) == ("candidate-1", "sgd-cosine")


@pytest.mark.parametrize("where", ["candidate", "baseline"])
def test_a_diverged_training_leaves_the_verdict_open(where: str) -> None:
    """nan on one seed of either side: undecided, with the arm and the number of seeds in a note."""
    good, bad = [1.0, 1.1, 0.9], [2.0, NAN, 2.1]
    result = judged(bad, good) if where == "candidate" else judged(good, bad)

    assert result.verdict == "undecided"
    assert result.difference is None
    assert any("gave no value on 1 of 3 seeds" in note for note in result.notes)


def test_an_arm_that_failed_on_a_seed_comes_after_those_that_did_not() -> None:
    """A baseline that diverged once is not the opponent where another ran on every seed; the note stays."""
    arms = [
        arm("candidate-1", [1.0, 1.1, 0.9]),
        arm("sgd-cosine", [0.1, NAN, 0.1], "baseline"),
        arm("current", [2.0, 2.2, 1.9], "baseline"),
    ]

    result = judge(arms, "minimize")

    assert (result.verdict, result.best_baseline) == ("winner", "current")
    assert result.notes == ["sgd-cosine gave no value on 1 of 3 seeds"]


def test_one_seed_shows_nothing() -> None:
    """n = 1 has no interval."""
    result = judged([1.0], [2.0])

    assert (result.verdict, result.difference) == ("undecided", None)
    assert "one seed is too few for an interval" in result.notes


def test_equal_differences_show_no_spread() -> None:
    """Where every seed gave the same difference, up to rounding, the interval would be a point: undecided."""
    result = judged([0.1, 0.2, 0.3], [0.2, 0.3, 0.4])

    assert result.verdict == "undecided"
    assert result.difference is not None
    assert math.isnan(result.difference.p_value)
    assert any("spread is not known" in note for note in result.notes)


def test_without_an_opponent_or_a_candidate_nothing_is_decided() -> None:
    """The missing side is named in a note."""
    alone = judge([arm("candidate-1", [1.0, 1.1])], "minimize")
    only_baseline = judge([arm("current", [1.0, 1.1], "baseline")], "minimize")
    nothing = judge([arm("candidate-1", [NAN, NAN]), arm("current", [NAN, NAN], "baseline")], "minimize")

    assert (alone.verdict, alone.finalist, alone.best_baseline) == ("undecided", "candidate-1", None)
    assert (only_baseline.finalist, only_baseline.best_baseline) == (None, "current")
    assert (nothing.finalist, nothing.best_baseline) == (None, None)
    assert "no baseline was confirmed" in alone.notes


def test_an_arm_s_statistics_are_over_the_seeds_that_ended_well() -> None:
    """n, mean, standard deviation and interval of the finite values, as SciPy has them."""
    shown = arm("candidate-1", [1.0, NAN, 2.0, 4.0])

    known = [1.0, 2.0, 4.0]
    low, high = stats.t.interval(0.95, 2, loc=np.mean(known), scale=stats.sem(known))
    assert (shown.n, shown.mean) == (3, pytest.approx(np.mean(known)))
    assert shown.standard_deviation == pytest.approx(np.std(known, ddof=1))
    assert shown.interval == (pytest.approx(low), pytest.approx(high))
    assert arm("candidate-1", [1.0, NAN]).interval is None
    assert arm("candidate-1", [NAN]).mean is None
