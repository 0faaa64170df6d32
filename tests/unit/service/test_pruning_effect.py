"""What a study says of its own pruning: savings, and the share of its best that pruning cost."""

from __future__ import annotations

import random
from typing import Any

import pytest

from search_spaces.insight import PruningEffect
from service.pruning_effect import LEAST_SPARED, effect_of, search_trials, wilson
from store.insights import EndedTrial
from store.proposals import Past


def ended(value: float | None = None, **fields: Any) -> EndedTrial:
    """A trial over 100 steps that took a second for ten of them."""
    known: dict[str, Any] = {
        "state": "complete", "params": {}, "value": value, "settled_rung": 50, "spared_at": None, "steps_done": 100,
    }  # fmt: skip
    known |= fields
    return EndedTrial(**known, worker_seconds=known["steps_done"] / 10)


def behind(count: int, rung: int = 10) -> list[EndedTrial]:
    return [ended(state="pruned", settled_rung=rung, steps_done=rung) for _ in range(count)]


def ran_on(*values: float) -> list[EndedTrial]:
    return [ended(value, spared_at=10) for value in values]


PASSED = [ended(float(place)) for place in range(40)]


def test_pruning_saves_what_pruned_trials_would_still_have_made() -> None:
    """Updates up to the horizon, their share of an unpruned search, and seconds at the search's own pace."""
    effect = effect_of([*PASSED[:2], *behind(5, 20), *ran_on(9.0)], "minimize", 100)

    assert (effect.pruned, effect.saved_updates, effect.spared_updates) == (5, 400, 90)
    assert effect.saved_share == pytest.approx(0.5)
    assert effect.saved_seconds == pytest.approx(40.0)


def test_the_rate_is_the_share_of_the_best_that_fell_behind() -> None:
    """3 of 20 that ran on are as good as the best 10 that passed: of 160 that fell behind 24 are, beside those 10."""
    trials = [*PASSED, *behind(140), *ran_on(*[0.5, 9.0, 8.5], *[50.0] * 17)]

    effect = effect_of(trials, "minimize", 100)

    assert (effect.spared, effect.missed, effect.top) == (20, 3, 10)
    assert effect.false_prune_rate == pytest.approx(24 / 34)
    assert effect.interval is not None
    low, high = wilson(3, 20)
    assert effect.interval == pytest.approx((160 * low / (160 * low + 10), 160 * high / (160 * high + 10)))


def test_a_metric_that_is_to_grow_is_read_the_other_way() -> None:
    """The same trials are missed where every value has the other sign."""
    trials = [*PASSED, *behind(140), *ran_on(*[0.5] * 3, *[50.0] * 17)]
    turned = [ended(None if t.value is None else -t.value, state=t.state, spared_at=t.spared_at) for t in trials]

    assert effect_of(turned, "maximize", 100).missed == effect_of(trials, "minimize", 100).missed == 3


def test_a_trial_that_failed_after_it_fell_behind_is_none_that_was_missed() -> None:
    """It ran on and did not end well; one that was stopped with its study says nothing."""
    trials = [*PASSED, *behind(100), *ran_on(*[50.0] * 9), ended(state="failed", spared_at=10)]

    effect = effect_of([*trials, ended(state="stopped", spared_at=10)], "minimize", 100)

    assert (effect.spared, effect.missed, effect.false_prune_rate) == (10, 0, 0.0)


@pytest.mark.parametrize(
    ("trials", "reason"),
    [
        (PASSED, "no trial has fallen behind"),
        (behind(30), "too few trials have passed"),
        ([*PASSED, *behind(30), *ran_on(*[50.0] * (LEAST_SPARED - 1))], "9 of 39 trials that fell behind ran on"),
    ],
)
def test_too_little_gives_no_rate_and_says_why(trials: list[EndedTrial], reason: str) -> None:
    """A number without evidence would be worse than none."""
    effect = effect_of(trials, "minimize", 100)

    assert effect.false_prune_rate is None
    assert effect.interval is None
    assert effect.why_none is not None
    assert effect.why_none.startswith(reason)


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    """Over 300 searches in which 5 % of what falls behind would have been among the best, with a share of 20 %."""
    held, known = 0, 0
    for seed in range(300):
        dice = random.Random(seed)
        fallen = [dice.random() < 0.05 for _ in range(200)]
        share = [good for good in fallen if dice.random() < 0.2]
        trials = [*PASSED, *behind(200 - len(share)), *ran_on(*[0.0 if good else 99.0 for good in share])]
        effect = effect_of(trials, "minimize", 100)
        if effect.interval is not None:
            known += 1
            truth = 200 * 0.05 / (200 * 0.05 + effect.top)
            held += effect.interval[0] <= truth <= effect.interval[1]

    assert known > 290
    assert 0.92 < held / known < 0.995


def test_only_the_search_counts() -> None:
    """A confirmation's trainings and foreign trials are no trials that pruning could have stopped."""
    known: dict[str, Any] = {
        "number": 0, "origin": "", "state": "complete", "params": {}, "candidate": None, "value": 1.0, "seed": 0,
    }  # fmt: skip
    places = ((0, "search"), (0, "confirmation"), (None, "search"))
    mine, confirmation, foreign = (Past(seq=seq, purpose=purpose, **known) for seq, purpose in places)

    assert search_trials([mine, confirmation, foreign]) == [mine]


def test_a_person_reads_what_was_saved_and_what_it_cost() -> None:
    """In sentences: with n and the interval, or with the reason why there is none."""
    measured = PruningEffect(
        pruned=100, spared=20, missed=1, top=10, false_prune_rate=0.25, interval=(0.05, 0.6), saved_updates=12000,
        saved_share=0.6, saved_seconds=90.4,
    )  # fmt: skip
    unknown = PruningEffect(pruned=5, why_none="2 of 7 trials that fell behind ran on")

    assert measured.sentences() == [
        "Pruning saved 12,000 updates, 60 % of the search's: about 90 worker-seconds.",
        "It cost an estimated 25 % of the best (95 % interval 5 to 60 %): of n = 20 trials that "
        "fell behind and ran on, 1 ended as good as the best 10 that passed.",
    ]
    assert unknown.sentences()[1].endswith("is not known: 2 of 7 trials that fell behind ran on.")
