"""Points chosen by a model of the LR curve: of the space, repeatable, and better the more is known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from search_spaces.space import resolve_space
from search_spaces.study import SamplerSpec, SpaceSpec
from service.curve_model import EXPECTED, model_points, scores
from service.sampling import Drawing, Point, draw_points
from service.search import BEFORE_THE_MODEL, SAMPLERS_OWN, SAMPLERS_THIRD, Search, next_proposals
from store.proposals import Past

from .made import random_history, sampled, search_for, trained

SPACE = resolve_space(SpaceSpec(), 64)


def drawing(seed: int = 0, maximize: bool = False) -> Drawing:
    return Drawing(SPACE, "maximize" if maximize else "minimize", SamplerSpec(), seed, horizon_steps=200)


def chosen(history: Sequence[Past], places: Sequence[int], **fields: bool) -> list[Point]:
    found = model_points(drawing(**fields), history, places)
    assert found is not None
    return found


def by_lr(past: Past) -> Past:
    """A trial whose loss is its LR's distance from 0.003, in decades."""
    assert past.candidate is not None
    return replace(past, value=abs(math.log10(past.candidate.initial_lr / 3e-3)))


def test_points_lie_in_the_space_and_are_the_same_again() -> None:
    """Nothing is kept between calls; each place is another point."""
    history = random_history(SPACE, 20)

    points = chosen(history, range(20, 26))

    assert all(SPACE.candidate_of(point.params) == point.candidate for point in points)
    assert points == chosen(history, range(20, 26))
    assert len({str(point.params) for point in points}) == 6


def test_what_is_known_to_be_good_is_gone_near_to() -> None:
    """The loss is the LR's distance from 0.003: four of six points lie nearer to it than nine in ten trials."""
    history = [by_lr(one) for one in random_history(SPACE, 30)]

    points = chosen(history, range(30, 36))

    far = np.quantile([one.value or 0.0 for one in history], 0.1)
    near = [abs(math.log10(point.candidate.initial_lr / 3e-3)) <= far for point in points]
    assert sum(near) >= 4


def test_only_the_order_of_values_counts_and_their_direction() -> None:
    """The same trials with other numbers in the same order, or negated to be maximised, give the same points."""
    history = [by_lr(one) for one in random_history(SPACE, 15)]
    stretched = [replace(one, value=math.exp(10 * (one.value or 0.0))) for one in history]
    negated = [replace(one, value=-(one.value or 0.0)) for one in history]

    assert chosen(stretched, [15]) == chosen(history, [15])
    assert chosen(negated, [15], maximize=True) == chosen(history, [15])


def test_equal_values_have_equal_scores_and_ranks_decide() -> None:
    """Normal scores of 3, 1, 1, 100: the two least share theirs, and no distance counts."""
    found = scores(np.array([3.0, 1.0, 1.0, 100.0]))

    assert found[1] == found[2] < found[0] < found[3]
    assert found == pytest.approx(scores(np.array([3.0, 1.0, 1.0, 4.0])))


def test_too_little_known_is_no_model() -> None:
    """Three outcomes are too few, and so is any number of equal ones, or of trials that have not ended."""
    assert model_points(drawing(), random_history(SPACE, 3), [3]) is None
    assert model_points(drawing(), [replace(one, value=1.0) for one in random_history(SPACE, 20)], [20]) is None
    assert model_points(drawing(), random_history(SPACE, 20, state="leased"), [20]) is None


def test_a_stopped_trial_counts_as_what_those_came_to_that_stood_where_it_did() -> None:
    """One that stood with the best at its rung is worth going near to; one that stood behind all is as bad as any."""
    complete = [replace(one, value=value, rungs={20: value}) for one, value in _with_values(12)]
    stopped = replace(sampled(SPACE, 40), state="pruned", value=None)

    ahead, behind = (chosen([*complete, replace(stopped, rungs={20: at})], [41])[0] for at in (0.0, 99.0))

    assert ahead != behind
    twin = replace(stopped, state="complete", value=11.0, rungs={20: 99.0})
    assert behind == chosen([*complete, twin], [41])[0]


def _with_values(count: int) -> list[tuple[Past, float]]:
    return [(one, float(value)) for value, one in enumerate(random_history(SPACE, count))]


def test_a_diverged_trial_is_the_worst_and_a_broken_one_says_nothing() -> None:
    """It counts as the worst complete one; a failure of another kind as if it had not been."""
    complete = [replace(one, value=value) for one, value in _with_values(12)]
    diverged = replace(sampled(SPACE, 40), state="failed", value=None, error="diverged")
    broken = replace(diverged, error="OSError: no space left")
    worst = replace(diverged, state="complete", value=11.0, error=None)

    assert chosen([*complete, diverged], [41]) == chosen([*complete, worst], [41])
    assert chosen([*complete, broken], [41]) == chosen(complete, [41])


def test_what_is_being_trained_is_not_tried_again() -> None:
    """An open trial that has shown nothing counts as what is expected of it, and another point is chosen beside it."""
    history = [by_lr(one) for one in random_history(SPACE, 20)]
    point = chosen(history, [20])[0]
    open_one = replace(sampled(SPACE, 20), state="leased", value=None, params=point.params, candidate=point.candidate)

    beside = chosen([*history, open_one], [20])[0]

    assert beside != point


def test_a_crowd_in_training_costs_no_more_than_its_latest() -> None:
    """Of a thousand open trials that have shown nothing the latest 64 count, and a refill of 70 has 70 points."""
    history = [by_lr(one) for one in random_history(SPACE, 20)]
    crowd = [sampled(SPACE, seq, state="leased", value=None) for seq in range(20, 1020)]

    assert chosen([*history, *crowd], [1020]) == chosen([*history, *crowd[-EXPECTED:]], [1020])
    assert len({str(point.params) for point in chosen(history, range(20, 90))}) == 70


def test_a_search_begins_with_the_sampler_and_leaves_it_each_third_place() -> None:
    """Six trials must have shown something; baselines say too little of the space."""
    search, plain = (search_for(budget={"trials": 64}, sampler={"kind": kind}) for kind in ("curves", "tpe"))
    openings = [trained(new, value=1.0 + new.seq) for new in next_proposals(search, [], 9)]

    def beyond(count: int) -> list[Past]:
        return [*openings, *(sampled(search.space, seq, value=0.1 * seq) for seq in range(9, 9 + count))]

    early, late = beyond(BEFORE_THE_MODEL - 1), beyond(BEFORE_THE_MODEL)

    made = [new for new in next_proposals(search, late, 8) if new.origin == "sampler"]
    assert next_proposals(search, early, 6) == next_proposals(plain, early, 6)
    theirs = {seq: point.candidate for seq, point in zip(*_by_tpe(plain, late, [new.seq for new in made]), strict=True)}
    assert [new.seq % SAMPLERS_THIRD == 0 for new in made] == [new.candidate == theirs.get(new.seq) for new in made]


def _by_tpe(search: Search, history: Sequence[Past], places: Sequence[int]) -> tuple[list[int], list[Point]]:
    own = [place for place in places if place % SAMPLERS_THIRD == 0]
    resolved = search.resolved
    tpe = Drawing(search.space, resolved.direction, search.spec.sampler, search.spec.seed, resolved.horizon_steps)
    return own, draw_points(tpe, history, own)


def test_a_study_that_starts_warm_stays_near_the_best_known() -> None:
    """Three of four places are the model's choice among small steps from the three best, the fourth is TPE's."""
    search = search_for(budget={"trials": 64}, warm_start={"studies": ["earlier"]}, confirmation={"baselines": []})
    history = [replace(by_lr(one), origin="history", seq=None) for one in random_history(search.space, 40)]
    best = sorted(history, key=lambda one: one.value or 0.0)[:3]

    made = next_proposals(search, history, 8)

    near = [new for new in made if new.seq % SAMPLERS_OWN]
    kinds = {(one.candidate.optimizer.kind, one.candidate.schedule.kind) for one in best if one.candidate}
    assert [new.seq for new in near] == [1, 2, 3, 5, 6, 7]
    assert sum((new.candidate.optimizer.kind, new.candidate.schedule.kind) in kinds for new in near) >= 4
    assert all(abs(math.log10(new.candidate.initial_lr / 3e-3)) < 0.5 for new in near)
