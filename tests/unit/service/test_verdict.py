"""The verdict: its limits against SciPy's tests, what decides, what is left open, and how often it errs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from benchmarks.verdict import differing
from search_spaces.baselines import BASELINES
from search_spaces.results import Arm
from service.detectable import detectable_gain
from service.margins import LOWER, UPPER, cut, limits_of
from service.verdict import METHOD, METHOD_VERSION, Judgement, judge, with_statistics

NAN = math.nan


def arm(name: str, values: list[float], role: str = "candidate") -> Arm:
    known: dict[str, Any] = {"name": name, "role": role, "candidate": BASELINES["adam-constant"]}
    return with_statistics(Arm(**known, values=dict(enumerate(values))))


def judged(candidate: list[float], baseline: list[float], direction: Any = "minimize") -> Judgement:
    return judge([arm("candidate-1", candidate), arm("sgd-cosine", baseline, "baseline")], direction)


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
    """The candidate's loss is 1 lower on each of two seeds: a gain of 1, with how it was found."""
    result = judged([1.0, 1.1], [2.0, 2.1001])

    assert result.difference is not None
    assert result.difference.gain == pytest.approx(1.00005)
    assert (result.difference.against, result.difference.n) == ("sgd-cosine", 2)
    assert (result.difference.method, result.difference.method_version) == (METHOD, METHOD_VERSION)
    assert (result.difference.confidence, result.difference.level) == (1 - LOWER - UPPER, LOWER)


def test_the_limits_are_those_of_student_s_t_for_what_was_picked_from() -> None:
    """The lower end is widened for two candidates, the upper one for three baselines; the p-value goes with it."""
    gains = np.array([0.3, 0.9, 0.1, 0.6, 0.5])

    found = limits_of(gains, candidates=2, baselines=3)

    error = stats.sem(gains)
    assert found.gain == pytest.approx(gains.mean())
    assert found.lower == pytest.approx(gains.mean() - stats.t.isf(LOWER / 2, 4) * error)
    assert found.upper == pytest.approx(gains.mean() + stats.t.isf(UPPER / 3, 4) * error)
    assert found.p_value == pytest.approx(2 * stats.ttest_1samp(gains, 0.0, alternative="greater").pvalue)
    assert (found.n, found.known) == (5, True)


def test_a_winner_beats_every_baseline() -> None:
    """The ends are the least over the baselines: a second one that is not beaten for sure leaves it open."""
    good, poor, noisy = [1.0, 1.1, 0.9, 1.0, 1.05], [2.0, 2.2, 1.9, 2.1, 2.0], [1.2, 4.5, 2.1, 1.0, 3.0]
    finalist, beaten = arm("candidate-1", good), arm("sgd-cosine", poor, "baseline")

    alone = judge([finalist, beaten], "minimize", min_gain=0.1)
    both = judge([finalist, beaten, arm("current", noisy, "baseline")], "minimize", min_gain=0.1)

    assert (alone.verdict, both.verdict) == ("winner", "undecided")
    assert both.difference is not None
    assert both.difference.against == "sgd-cosine"
    assert both.difference.interval[0] < 0 < both.difference.gain
    assert both.difference.p_value > LOWER


def test_a_gain_too_small_for_the_user_is_no_winner() -> None:
    """`min_gain` above the whole interval: none, though the gain is sure; within it the gain decides."""
    arms = [arm("candidate-1", [1.0, 1.1, 0.9, 1.0]), arm("current", [1.2, 1.31, 1.1, 1.21], "baseline")]

    small, large, default = (judge(arms, "minimize", min_gain) for min_gain in (0.2, 0.5, None))

    assert [small.verdict, large.verdict, default.verdict] == ["winner", "no_winner", "winner"]
    assert (small.min_gain, large.min_gain) == (0.2, 0.5)
    assert default.min_gain == default.detectable_gain


def test_the_best_candidate_meets_the_best_baseline() -> None:
    """Of several arms the best mean of each role is compared, by the metric's direction."""
    arms = [
        arm("candidate-1", [3.0, 3.1]), arm("candidate-2", [2.0, 2.2]),
        arm("current", [1.0, 1.2], "baseline"), arm("sgd-cosine", [5.0, 5.1], "baseline"),
    ]  # fmt: skip

    low, high = judge(arms, "minimize"), judge(arms, "maximize")

    assert (low.finalist, low.best_baseline) == ("candidate-2", "current")
    assert (high.finalist, high.best_baseline) == ("candidate-1", "sgd-cosine")


def test_a_finalist_that_diverged_is_not_the_winner() -> None:
    """nan on one seed of the only candidate: the difference is shown, and the verdict stays open."""
    result = judged([1.0, NAN, 1.1, 1.0], [2.0, 2.1, 2.1, 2.02])

    assert result.verdict == "undecided"
    assert result.difference is not None
    assert result.difference.n == 3
    assert not result.ahead
    assert "candidate-1 gave no value on 1 of 4 seeds" in result.notes


def test_a_finalist_that_diverged_may_be_seen_to_be_no_winner() -> None:
    """The seeds that it was spared speak for it: worse even so is worse."""
    result = judged([2.0, NAN, 2.1, 2.0], [1.0, 1.1, 1.1, 1.02])

    assert result.verdict == "no_winner"


def test_a_baseline_that_diverged_on_some_seeds_is_still_to_be_beaten() -> None:
    """It is compared on the others, which is in its favour; without a value on most seeds it is no opponent."""
    good = [1.0, 1.1, 0.9, 1.0]
    known = [arm("candidate-1", good), arm("current", [2.0, 2.2, 1.9, 2.1], "baseline")]

    better = judge([*known, arm("sgd-cosine", [0.1, NAN, 0.1, 0.2], "baseline")], "minimize")
    gone = judge([*known, arm("sgd-cosine", [0.1, NAN, NAN, NAN], "baseline")], "minimize")

    assert (better.verdict, better.best_baseline) == ("no_winner", "current")
    assert better.difference is not None
    assert (better.difference.against, better.difference.n) == ("sgd-cosine", 3)
    assert (gone.verdict, gone.best_baseline) == ("winner", "current")
    assert gone.notes == ["sgd-cosine gave no value on 3 of 4 seeds"]


def test_a_baseline_that_diverged_to_a_number_does_not_hide_the_gain() -> None:
    """One terrible seed of a baseline widens the upper end alone; the claim counts that gain for less than it is."""
    rng = np.random.default_rng(3)
    good, poor = rng.normal(1.0, 0.1, 9).tolist(), rng.normal(1.5, 0.1, 9).tolist()

    clean, diverged = judged(good, poor), judged(good, [*poor[:8], 1e3])

    assert (clean.verdict, diverged.verdict) == ("winner", "winner")
    assert clean.difference is not None
    assert diverged.difference is not None
    assert diverged.difference.gain > 100
    assert 0 < diverged.difference.interval[0] < clean.difference.gain
    assert diverged.difference.interval[1] > diverged.difference.gain


def test_gains_are_cut_from_above_only_and_on_seven_seeds_or_more() -> None:
    """At most twice as far above the median as the least lies below it; fewer seeds are left as they are."""
    gains = np.array([1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 99.0])

    assert cut(gains).tolist() == [1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 7.0]
    assert cut(gains[1:]).tolist() == gains[1:].tolist()
    assert cut(-gains).tolist() == (-gains).tolist()


def test_one_seed_shows_nothing() -> None:
    """n = 1 has no interval."""
    result = judged([1.0], [2.0])

    assert (result.verdict, result.difference) == ("undecided", None)
    assert any("too few for an interval" in note for note in result.notes)


@pytest.mark.parametrize(("seeds", "verdict"), [(2, "undecided"), (4, "undecided"), (5, "winner"), (9, "winner")])
def test_equal_differences_are_as_many_coins_that_fell_alike(seeds: int, verdict: str) -> None:
    """The same gain on every seed, up to rounding: with five of them luck is ruled out, with fewer nothing is."""
    values = [seed / 10 for seed in range(seeds)]

    result = judged(values, [value + 0.1 for value in values])

    assert result.verdict == verdict
    assert result.difference is not None
    assert result.difference.p_value == 0.5**seeds
    assert result.difference.gain == pytest.approx(0.1)
    assert result.difference.interval[0] == pytest.approx(0.1 if verdict == "winner" else 0.0)
    assert result.detectable_gain is None
    assert any("spread is not known" in note for note in result.notes) is (verdict == "undecided")


@pytest.mark.parametrize(("seeds", "verdict"), [(3, "undecided"), (9, "no_winner")])
def test_twins_have_no_winner(seeds: int, verdict: str) -> None:
    """A task without noise, or a candidate that is the baseline: no gain at all, once there are seeds enough."""
    twin = [0.5] * seeds

    assert judged(twin, twin).verdict == verdict
    assert not judged(twin, twin).ahead


def test_without_an_opponent_or_a_candidate_nothing_is_decided() -> None:
    """The missing side is named in a note."""
    alone = judge([arm("candidate-1", [1.0, 1.1])], "minimize")
    only_baseline = judge([arm("current", [1.0, 1.1], "baseline")], "minimize")
    nothing = judge([arm("candidate-1", [NAN, NAN]), arm("current", [NAN, NAN], "baseline")], "minimize")

    assert (alone.verdict, alone.finalist, alone.best_baseline) == ("undecided", "candidate-1", None)
    assert (only_baseline.finalist, only_baseline.best_baseline) == (None, "current")
    assert (nothing.finalist, nothing.best_baseline) == (None, None)
    assert "no baseline was confirmed" in alone.notes


@pytest.mark.parametrize(("noise", "correlation"), [((1.0, 1.0), 0.0), ((1.0, 1.0), 0.8), ((3.0, 1.0), 0.0)])
def test_ties_of_the_best_baseline_rarely_win(noise: tuple[float, float], correlation: float) -> None:
    """False winners stay below 5 %: two candidates, the luckier taken, against one baseline as good, 600 repeats."""
    sides = np.array([noise[0], noise[0], noise[1]])
    found = _verdicts(np.zeros(3), sides, correlation, candidates=2, repeats=600)

    assert found.count("winner") <= stats.binom.ppf(0.999, 600, 0.05)


def test_the_detectable_gain_is_detected_as_often_as_it_says() -> None:
    """Two of a hundred repeats aside, 80 % of confirmations with that gain are winners; ties end as no_winner."""
    gain = detectable_gain(arms=(2, 3), seeds=9, noise=1.0)

    ahead = _verdicts(np.array([gain, 0, 0, 0, 0]), np.ones(5), 0.0, candidates=2, repeats=500)
    level = _verdicts(np.zeros(5), np.ones(5), 0.0, candidates=2, repeats=300)

    assert gain < 2
    assert ahead.count("winner") / 500 == pytest.approx(0.8, abs=0.06)
    assert ahead.count("no_winner") <= 5
    assert level.count("no_winner") > 150


def _verdicts(means: Any, noise: Any, correlation: float, candidates: int, repeats: int) -> list[str]:
    """Judge tables of nine seeds; `noise` is each arm's, of which the part that is common is the least arm's."""
    rng = np.random.default_rng(18)
    common = noise.min() * math.sqrt(correlation)
    found = []
    for _ in range(repeats):
        own = rng.normal(0.0, np.sqrt(noise**2 - common**2)[:, None], (means.size, 9))
        table = means[:, None] + rng.normal(0.0, common, 9) + own
        arms = [
            arm(f"arm-{place}", row.tolist(), "candidate" if place < candidates else "baseline")
            for place, row in enumerate(table)
        ]
        found.append(judge(arms, "maximize").verdict)
    return found


def test_the_simulation_of_the_docs_judges_as_the_service_does() -> None:
    """benchmarks.verdict, which judges many tables at once, agrees with `judge` on tables of every setting."""
    assert differing(np.random.default_rng(0), tables=400) == []


def test_what_a_confirmation_detects_is_known_before_it() -> None:
    """It scales with the noise, falls with the correlation and the seeds, and grows with the arms picked from."""
    plain = detectable_gain(arms=(2, 3), seeds=9, noise=1.0)

    assert detectable_gain(arms=(2, 3), seeds=9, noise=0.02) == pytest.approx(0.02 * plain)
    assert detectable_gain(arms=(2, 3), seeds=9, noise=1.0, correlation=0.75) == pytest.approx(plain / 2)
    assert detectable_gain(arms=(2, 3), seeds=3, noise=1.0) > 2 * plain
    assert detectable_gain(arms=(1, 1), seeds=9, noise=1.0) < plain < detectable_gain(arms=(2, 7), seeds=9, noise=1.0)
    assert detectable_gain(arms=(1, 1), seeds=9, noise=0.0) == 0


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"arms": (0, 1)}, "arms"), ({"arms": (1, 0)}, "arms"), ({"seeds": 1}, "seeds"), ({"noise": -1.0}, "noise"),
        ({"noise": NAN}, "noise"), ({"correlation": 1.5}, "correlation"),
    ],
)  # fmt: skip
def test_a_wrong_plan_is_refused(wrong: dict[str, Any], named: str) -> None:
    """The error names what is wrong."""
    with pytest.raises(ValueError, match=named):
        detectable_gain(**({"arms": (2, 3), "seeds": 9, "noise": 1.0} | wrong))


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


@pytest.mark.parametrize(("direction", "ahead"), [("minimize", False), ("maximize", True)])
def test_one_seed_shows_nothing_and_still_says_who_leads(direction: Any, ahead: bool) -> None:
    """A finalist that was worse on the one training that each had is not ahead: the baseline is kept."""
    result = judged([2.0], [1.0], direction)

    assert (result.verdict, result.difference, result.ahead) == ("undecided", None, ahead)
    assert result.lead == (1.0 if ahead else -1.0)
    assert not judged([1.0], [1.0], direction).ahead
