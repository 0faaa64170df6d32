"""What an answer says first: one sentence a topic, in one order, and none of what is not known."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from search_spaces.baselines import BASELINES
from search_spaces.describe import describe
from search_spaces.results import Difference, Evidence, LadderRung, Optimum, StepsSaved
from service.conclusion import confirmed_study
from service.confirmed import Confirmed
from service.sentences import SHORT, compared, joined, sentences_of
from service.verdict import Judgement, judge, with_statistics

from .test_answer import concluded, view

YOURS = BASELINES["sgd-step"]


@pytest.fixture(scope="module")
def confirmed() -> Confirmed:
    """A study with `current` whose finalist did better by 1 on each of three seeds, give or take a little."""
    search, plan, past = concluded(1.0, 2.0, current=YOURS.model_dump(mode="json"))
    return confirmed_study(search, view("confirming"), plan, past)


def judged(confirmed: Confirmed, verdict: Any, gain: float, low: float, high: float, against: str) -> Confirmed:
    """The same study with another outcome."""
    difference = Difference(against=against, gain=gain, interval=(low, high), p_value=0.5, n=9)
    outcome: dict[str, Any] = {"verdict": verdict, "finalist": "candidate-1", "best_baseline": against}
    return replace(confirmed, judged=Judgement(**outcome, difference=difference, detectable_gain=0.3))


def said(confirmed: Confirmed, **evidence: Any) -> dict[str, str]:
    return {one.topic: one.text for one in sentences_of(confirmed, Evidence(**evidence))}


def test_topics_come_in_one_order_and_only_where_something_is_known(confirmed: Confirmed) -> None:
    """Without ladder, saving and optimum there are six; the one string holds those that fit everywhere."""
    sentences = sentences_of(confirmed, Evidence())

    topics = [one.topic for one in sentences]
    assert topics == ["advice", "candidate", "difference", "horizon", "untested", "cost"]
    assert all(one.text.endswith(".") for one in sentences)
    assert joined(sentences) == " ".join(one.text for one in sentences if one.topic in SHORT)


def test_no_winner_says_what_any_gain_is_below(confirmed: Confirmed) -> None:
    """As useful as a winner: keep yours, and the upper end of the interval is the most there could be."""
    words = said(judged(confirmed, "no_winner", 0.1, -0.1, 0.3, "current"))

    assert words["advice"] == "Keep yours: any gain in loss is below 0.3 at this budget."
    assert words["candidate"] == f"Yours is {describe(YOURS)}."
    assert "; its loss is 0.1 lower (95 % interval: 0.1 higher to 0.3 lower) than yours, on 9 " in words["difference"]


def test_a_finalist_that_is_worse_is_not_called_a_small_gain(confirmed: Confirmed) -> None:
    """An interval below 0 has no gain to put a bound on."""
    words = said(judged(confirmed, "no_winner", -0.5, -0.8, -0.2, "sgd-cosine"))

    assert words["advice"] == "Keep sgd-cosine: the search's finalist did not do better."
    assert "0.5 higher (95 % interval: 0.2 to 0.8 higher) than that of sgd-cosine" in words["difference"]


def test_a_spread_that_is_not_known_is_no_interval() -> None:
    """No infinity is printed."""
    endless = Difference(against="current", gain=0.5, interval=(-math.inf, math.inf), p_value=math.nan, n=2)

    assert compared(endless, "minimize") == "0.5 lower (its spread is not known)"
    assert compared(endless, "maximize") == "0.5 higher (its spread is not known)"


def test_a_bound_on_any_gain_is_rounded_up(confirmed: Confirmed) -> None:
    """ "Any gain is below" has to hold as it is written."""
    words = said(judged(confirmed, "no_winner", 0.05, -0.02, 0.1234, "current"))

    assert words["advice"] == "Keep yours: any gain in loss is below 0.13 at this budget."


def test_one_training_of_each_is_told_without_an_interval(confirmed: Confirmed) -> None:
    """A script that takes no seed: what was seen is said, and the one that did worse is not what to use."""
    values = {"candidate-1": 2.0, "current": 1.5}
    arms = {
        name: with_statistics(confirmed.arms[name].model_copy(update={"values": {1: value}}))
        for name, value in values.items()
    }
    once = replace(confirmed, arms=arms, judged=judge(list(arms.values()), "minimize"))

    words = said(once)

    assert words["advice"] == "Keep yours: the search's finalist did not do better."
    assert "its loss is 0.5 higher than yours, on one training. Fewer than two seeds" in words["difference"]


def test_baselines_that_failed_are_not_said_to_be_missing(confirmed: Confirmed) -> None:
    """There was a `current` and it diverged on every seed: who reads this has to know which."""
    values = {"candidate-1": 2.0, "current": math.nan}
    arms = {
        name: with_statistics(confirmed.arms[name].model_copy(update={"values": {1: value, 2: value}, "mean": None}))
        for name, value in values.items()
    }
    failed = replace(confirmed, arms=arms, judged=judge(list(arms.values()), "minimize"))
    alone = {"candidate-1": arms["candidate-1"]}
    none = replace(confirmed, arms=alone, judged=judge(list(alone.values()), "minimize"))

    assert said(failed)["advice"].endswith("no baseline to compare it with: every training of a baseline failed.")
    assert said(none)["advice"] == "A candidate was confirmed, but there was no baseline."


@pytest.mark.parametrize(
    ("reference", "words"), [("current", "yours"), ("sgd-cosine", "sgd-cosine"), (None, "the reference")]
)
def test_a_reference_is_called_as_its_owner_does(confirmed: Confirmed, reference: str | None, words: str) -> None:
    """No name of ours for what was trained is in a sentence."""
    saving = StepsSaved(confirmed=True, steps=30, share=0.3, horizon_steps=70, reference=reference, n=3)

    assert f"no worse than {words} at the whole horizon" in said(confirmed, steps_saved=saving)["steps_saved"]


def rung(name: Any, gain: float, half: float) -> LadderRung:
    return LadderRung(
        name=name, origin=f"ladder:{name}", candidate=YOURS, against="current", gain=gain,
        interval=(gain - half, gain + half), n=9, distinguishable=abs(gain) > half,
    )  # fmt: skip


def test_the_ladder_says_what_each_part_gives_and_what_cannot_be_told_from_nothing(confirmed: Confirmed) -> None:
    """Who can only change the LR sees what that alone gives."""
    words = said(
        confirmed, ladder=[rung("lr", 0.25, 0.05), rung("schedule", 0.02, 0.125), rung("optimizer", 0.5, 0.25)]
    )

    assert words["ladder"] == (
        "Of the gain in loss over yours, the LR alone gives 0.25 (95 % interval: 0.2 to 0.3); then the schedule is not "
        "distinguishable from none: 0.02 (95 % interval: -0.105 to 0.145); then the optimizer gives 0.5 (95 % "
        "interval: 0.25 to 0.75)."
    )


def test_a_ladder_may_begin_with_the_schedule_or_the_optimizer(confirmed: Confirmed) -> None:
    """Its first rung is then named with all that it tunes."""
    schedule = said(confirmed, ladder=[rung("schedule", 0.5, 0.25), rung("optimizer", 0.5, 0.25)])
    optimizer = said(confirmed, ladder=[rung("optimizer", 0.5, 0.25)])

    assert schedule["ladder"].startswith("Of the gain in loss over yours, the schedule with its LR gives 0.5 (95 %")
    assert "; then the optimizer gives" in schedule["ladder"]
    assert optimizer["ladder"].startswith(
        "Of the gain in loss over yours, the optimizer with its schedule and LR gives 0.5"
    )
    assert "ladder" not in said(confirmed, ladder=[])


def test_a_saving_is_said_only_as_far_as_it_was_tested(confirmed: Confirmed) -> None:
    """Steps, share, horizon, reference and seeds of a confirmed one; the reason where none is claimed."""
    saving = StepsSaved(confirmed=True, steps=30, share=0.3, horizon_steps=70, reference="ladder:lr", n=3)
    none = StepsSaved(confirmed=False, reason="the winner was worse at the shorter horizon")

    assert said(confirmed, steps_saved=saving)["steps_saved"] == (
        "It saves 30 steps (30 %): at 70 steps it was no worse than the current candidate with its LR tuned at the "
        "whole horizon, on 3 seeds."
    )
    assert said(confirmed, steps_saved=none)["steps_saved"] == (
        "No saving of steps is claimed: the winner was worse at the shorter horizon."
    )
    assert "steps_saved" not in said(confirmed, steps_saved=None)


def test_what_was_not_tested_is_said_always_and_edges_by_name(confirmed: Confirmed) -> None:
    """Other batch sizes, other horizons, and every parameter at the edge of its range."""
    assert said(confirmed)["untested"] == "Not tested: other batch sizes and other horizons."
    assert said(confirmed, at_edge=["sgd.lr", "warmup.fraction"])["untested"] == (
        "Not tested: other batch sizes and other horizons, and values beyond the range: of the finalist, sgd.lr, "
        "warmup.fraction sit at the edge of their ranges."
    )


def test_the_distance_to_a_known_optimum_is_said(confirmed: Confirmed) -> None:
    """As a value, and as a share of the optimum."""
    words = said(confirmed, optimum=Optimum(value=0.153, distance=0.0153, share=0.1))

    assert words["optimum"] == "The best value to expect is 0.153: the answer is 0.0153 (10 % of its size) worse."
