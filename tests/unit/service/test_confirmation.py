"""The confirmation's plan: arms, fresh seeds, order, and what it may cost."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from search_spaces.baselines import BASELINES
from service.confirmation import (
    Plan,
    arms_of,
    confirmation_proposals,
    is_over,
    plan_confirmation,
    training_seconds,
    tuning_proposals,
)
from service.search import Search, next_proposals
from store.proposals import Past

from .made import sampled, search_for, trained

CURRENT = BASELINES["sgd-step"].with_lr(0.05)


def searched(search: Search, **fields: Any) -> list[Past]:
    """A whole search: the baselines' trials, then sampled ones that get better with their place."""
    past = [trained(one, 9.0) for one in next_proposals(search, [], 9)]
    return past + [
        sampled(search.space, seq, **({"value": 8.0 - seq / 10} | fields)) for seq in range(9, search.budget)
    ]


def study(**fields: Any) -> Search:
    return search_for(**({"budget": {"trials": 24}} | fields))


def test_the_arms_are_the_best_candidates_and_every_baseline() -> None:
    """Two best of the sampler's, then `current` as it is, then the three baselines."""
    search = study(current=CURRENT.model_dump(mode="json"))
    past = searched(search)

    plan = plan_confirmation(search, past)

    best = sorted((one for one in past if one.origin == "sampler"), key=lambda one: one.value or 0)[:2]
    assert [arm.name for arm in plan.arms] == ["candidate-1", "candidate-2", "current", *list(BASELINES)[:3]]
    assert [arm.candidate for arm in plan.arms[:2]] == [one.candidate for one in best]
    assert plan.arms[2].candidate == CURRENT
    assert all(arm.tuned for arm in plan.arms)


def test_a_confirmation_that_has_begun_keeps_its_candidates() -> None:
    """An older version has put another candidate forward: what is trained is judged as what it is."""
    search = study()
    past = searched(search)
    other = BASELINES["adam-constant"].with_lr(0.0123)
    begun = [
        trained(replace(one, candidate=other)) if one.origin == "confirmation:candidate-2" else trained(one)
        for one in confirmation_proposals(plan_confirmation(search, past))
    ]

    plan = plan_confirmation(search, [*past, *begun])

    assert [arm.candidate for arm in plan.arms][1] == other
    assert {arm.name: arm.candidate for arm in arms_of(plan, begun)}["candidate-2"] == other
    assert is_over(plan, begun)


def test_a_candidate_is_confirmed_once() -> None:
    """The same candidate drawn twice is one arm."""
    search = study()
    past = searched(search)
    twin = replace(past[-1], seq=100, value=-1.0)

    plan = plan_confirmation(search, [*past, twin])

    assert plan.arms[0].candidate == twin.candidate
    assert plan.arms[1].candidate != twin.candidate


def test_pruned_failed_and_foreign_trials_are_not_confirmed() -> None:
    """Only complete trials of the sampler's own are candidates."""
    search = study()
    past = searched(search)
    better = [
        replace(past[-1], seq=101, state="pruned", value=None),
        replace(past[-1], seq=102, state="failed", value=None),
        replace(past[-1], seq=None, origin="foreign", value=-9.0, candidate=None),
    ]

    assert plan_confirmation(search, [*past, *better]) == plan_confirmation(search, past)


def test_seeds_are_fresh_the_same_for_all_arms_and_of_the_study() -> None:
    """Nine seeds that no trial of the search had; another study's, or another budget's, are others."""
    plans = [
        plan_confirmation(search, searched(search))
        for search in (study(), study(), study(seed=1), study(budget={"trials": 25}))
    ]

    assert plans[0].seeds == plans[1].seeds
    assert len(set(plans[0].seeds) | {0}) == 10
    assert not set(plans[0].seeds) & set(plans[2].seeds)
    assert not set(plans[0].seeds) & set(plans[3].seeds)


def test_all_arms_go_forward_together() -> None:
    """Places go seed by seed through the arms; nothing of it is pruned."""
    search = study(confirmation={"seeds": 2})
    plan = plan_confirmation(search, searched(search))

    proposals = confirmation_proposals(plan)

    assert [one.seq for one in proposals] == list(range(10))
    assert [one.seed for one in proposals] == [plan.seeds[0]] * 5 + [plan.seeds[1]] * 5
    assert [one.origin for one in proposals[:5]] == [f"confirmation:{arm.name}" for arm in plan.arms]
    assert not any(one.prunable for one in proposals)


@pytest.mark.parametrize(
    ("share", "seeds"),
    [(2.0, 9), (1.3, 6), (0.9, 4), (0.1, 3)],
)
def test_max_share_drops_seeds_down_to_three(share: float, seeds: int) -> None:
    """24 trials of 2 s each: five arms of 2 s a seed, so a share of 0.9 pays for four seeds."""
    search = study(confirmation={"max_share": share})

    plan = plan_confirmation(search, searched(search))

    assert len(plan.seeds) == seeds
    assert bool(plan.notes) is (seeds < 9)


def test_two_seeds_stay_two() -> None:
    """`max_share` never asks for more seeds than the study does, nor for fewer than it has."""
    search = study(confirmation={"seeds": 2, "max_share": 0.01})

    assert len(plan_confirmation(search, searched(search)).seeds) == 2


def test_tuning_counts_in_the_confirmation_s_share() -> None:
    """Worker-seconds of the tuning trials leave less for seeds."""
    search = study(confirmation={"max_share": 1.0})
    past = searched(search)
    tuning = replace(past[0], purpose="tuning", worker_seconds=20.0)

    assert len(plan_confirmation(search, past).seeds) == 4
    assert len(plan_confirmation(search, [*past, replace(tuning, worker_seconds=8.5)]).seeds) == 3


def test_a_search_that_cost_nothing_known_is_confirmed_in_full() -> None:
    """Without worker-seconds there is nothing to hold the confirmation to."""
    search = study()
    past = [replace(one, worker_seconds=0.0) for one in searched(search)]

    assert training_seconds(past) == 0
    assert len(plan_confirmation(search, past).seeds) == 9


def test_what_rungs_asked_for_is_no_part_of_a_trainings_cost() -> None:
    """A confirmation trains without rungs: of 6 s over 100 updates and 50 beside them it takes 4."""
    search = study()
    past = [sampled(search.space, seq, worker_seconds=6.0, steps_done=100, extra_steps=50) for seq in range(3)]

    assert training_seconds(past) == pytest.approx(4.0)


def test_tuning_is_proposed_once() -> None:
    """Three places for the baseline outside the space; what is proposed is not proposed again."""
    search = study(space={"optimizers": ["adam"]}, confirmation={"baselines": ["sgd-cosine"]})

    first = tuning_proposals(search, [])
    second = tuning_proposals(search, [trained(one, 1.0) for one in first[:2]])

    assert [(one.seq, one.purpose, one.params) for one in first] == [(place, "tuning", None) for place in range(3)]
    assert [one.seq for one in second] == [2]


def test_an_untuned_baseline_is_said_to_be() -> None:
    """Under 20 trials a baseline has factor 1 alone."""
    search = study(budget={"trials": 10})
    past = [trained(one, 9.0) for one in next_proposals(search, [], 3)]

    arms = plan_confirmation(search, past).arms

    assert [arm.tuned for arm in arms if arm.role == "baseline"] == [False, False, False]


def test_a_training_without_a_value_is_nan_for_its_arm_and_seed() -> None:
    """Values stand by arm and seed; failed and missing ones are nan; it is over when every place has ended."""
    search = study(confirmation={"seeds": 2})
    plan: Plan = plan_confirmation(search, searched(search))
    past = [trained(one, float(one.seq)) for one in confirmation_proposals(plan)]
    past[5] = replace(past[5], state="failed", value=None)

    arms = arms_of(plan, past)

    assert list(arms[0].values) == plan.seeds
    assert arms[0].values[plan.seeds[0]] == 0.0
    assert math.isnan(arms[0].values[plan.seeds[1]])
    assert arms[4].values == {plan.seeds[0]: 4.0, plan.seeds[1]: 9.0}
    assert is_over(plan, past)
    assert not is_over(plan, [*past[1:], replace(past[0], state="leased")])


def test_of_candidates_within_noise_of_the_best_one_of_another_kind_is_confirmed() -> None:
    """The second best is the best at another LR: a third with another optimizer, as close, goes before it."""
    search = study()
    past = searched(search)
    assert past[-1].candidate is not None
    best = replace(past[-1], seq=200, value=0.0, candidate=past[-1].candidate.with_lr(0.9))
    twins = [
        replace(past[-1], seq=201 + place, value=value, candidate=past[-1].candidate.with_lr(1 - value))
        for place, value in enumerate((0.001, 0.010, 0.011))
    ]
    other = replace(best, seq=300, value=0.004, candidate=BASELINES["schedule-free-adamw"])

    near = plan_confirmation(search, [*past, best, *twins, other]).arms
    far = plan_confirmation(search, [*past, best, *twins, replace(other, value=0.5)]).arms

    assert [arm.candidate for arm in near[:2]] == [best.candidate, other.candidate]
    assert [arm.candidate for arm in far[:2]] == [best.candidate, twins[0].candidate]
