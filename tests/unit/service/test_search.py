"""What the search proposes: baselines first, the sampler after them, never beyond the budget."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import pytest

from search_spaces.baselines import BASELINES
from search_spaces.schedules import area_left, rise_steps
from service.opponents import Opponents, edge_tries, first_tries, opponents_of, tuned_candidate, tuning_tries
from service.search import Search, next_proposals
from store.proposals import NewProposal, Past

from .made import sampled, search_for, trained

DEFAULTS = list(BASELINES)[:3]
CURRENT = BASELINES["adamw-linear-to-zero"].with_lr(0.5).model_dump(mode="json")


def inside_all(current: bool = False) -> Opponents:
    given = BASELINES["sgd-step"] if current else None
    return Opponents(inside=DEFAULTS, outside=[], current=given, current_inside=current)


def run(search: Search, values: dict[tuple[str, float], float], slots: int = 2) -> list[NewProposal]:
    """Propose and train until nothing more is proposed; `values` by (origin, LR), else 5."""
    past: list[Past] = []
    proposals: list[NewProposal] = []
    for _ in count():
        new = next_proposals(search, past, slots)
        if not new:
            return proposals
        proposals += new
        past += [trained(one, values.get((one.origin, round(one.candidate.initial_lr, 6)), 5.0)) for one in new]
    raise AssertionError


@pytest.mark.parametrize("budget", [1, 2, 5, 16, 19, 20, 21, 24, 40])
def test_a_search_has_exactly_its_budget_of_proposals(budget: int) -> None:
    """Places 0 ... budget-1, each once, whatever of them are baselines; those are at most half, rounded up."""
    search = search_for(budget={"trials": budget}, current=CURRENT)

    proposals = run(search, {})

    baselines = [one for one in proposals if one.origin != "sampler"]
    assert [one.seq for one in proposals] == list(range(budget))
    assert len(baselines) <= (budget + 1) // 2
    assert proposals[0].origin == "current"


@pytest.mark.parametrize("budget", [20, 21, 22, 24, 30])
def test_current_takes_a_place_of_the_baselines_half(budget: int) -> None:
    """`current` comes first and the half is kept; from 20 trials on baselines are tuned beside it."""
    tries = first_tries(inside_all(current=True), budget)

    assert tries[0].origin == "current"
    assert len(tries) <= (budget + 1) // 2
    assert len({(one.name, one.factor) for one in tries}) == len(tries)
    assert all(any(one.name == name for one in tries) for name in DEFAULTS)


def test_under_twenty_trials_baselines_are_tried_once() -> None:
    """Factor 1 only."""
    assert [(one.name, one.factor) for one in first_tries(inside_all(), 19)] == [(n, 1.0) for n in DEFAULTS]


def test_an_edge_follows_where_the_best_factor_is_at_an_edge() -> None:
    """The best at factor 3 is followed by 10, the best at 0.3 by 0.1, the best in the middle by nothing."""
    best = {
        ("baseline:sgd-cosine", 0.3): 1.0,
        ("baseline:adamw-warmup-cosine", 0.0003): 1.0,
        ("baseline:adamw-linear-to-zero", 0.001): 1.0,
    }

    proposals = run(search_for(budget={"trials": 40}), best)

    edges = [one for one in proposals[9:] if one.origin != "sampler"]
    assert [(one.origin, round(one.candidate.initial_lr, 6)) for one in edges] == [
        ("baseline:sgd-cosine", 1.0), ("baseline:adamw-warmup-cosine", 0.0001),
    ]  # fmt: skip


def test_an_edge_waits_until_all_three_factors_have_ended() -> None:
    """Two of three say nothing yet; a failed one has ended too."""
    search = search_for(budget={"trials": 40})
    past = [trained(one, 1.0 if one.candidate.initial_lr > 0.2 else 5.0) for one in next_proposals(search, [], 9)]
    pending = [replace(past[0], state="leased", value=None), *past[1:]]
    failed = [replace(past[0], state="failed", value=None), *past[1:]]

    found = [edge_tries(search.opponents, 40, trials, "minimize") for trials in (pending, failed)]

    assert found[0] == []
    assert [(one.name, one.factor) for one in found[1]] == [("sgd-cosine", 10.0)]


def test_baselines_are_not_pruned_and_sampled_trials_are() -> None:
    """Only the sampler's trials may be pruned, unless the study has no pruner."""
    kinds = {kind: run(search_for(budget={"trials": 24}, pruner={"kind": kind}), {}) for kind in ("halving", "none")}

    assert [one.prunable for one in kinds["halving"]] == [one.origin == "sampler" for one in kinds["halving"]]
    assert not any(one.prunable for one in kinds["none"])


@pytest.mark.parametrize(("peak", "exempt"), [(0.4, 10), (0.06, 20), (0.01, 100)])
def test_where_rungs_are_whole_schedules_none_is_inside_a_rise(peak: float, exempt: int) -> None:
    """Exempt is what is too short for the schedule alone: one-cycle has to have a step before its peak."""
    near = {"peak_fraction": {"low": peak, "high": peak + 0.001}}
    search = search_for(
        space={"optimizers": ["sgd"], "schedules": {"one_cycle": near}}, sampler={"kind": "random"},
        pruner={"fidelity": "rescaled"},
    )  # fmt: skip

    proposals = next_proposals(replace(search, opponents=Opponents([], [], None, False)), [], 3)

    assert [one.exempt_steps for one in proposals] == [exempt] * 3


def test_where_phases_are_compared_each_trial_has_its_own() -> None:
    """The share of its LR curve's area that is left at each rung; else none."""
    search = search_for(budget={"trials": 40}, pruner={"fidelity": "phase", "rungs": [0.5]})

    proposals = run(search, {})

    assert [one.phases for one in proposals] == [[area_left(one.candidate.schedule, 50, 100)] for one in proposals]
    assert all(one.phases is None for one in next_proposals(search_for(), [], 3))


def test_a_trial_is_exempt_while_its_schedule_rises() -> None:
    """exempt_steps is the schedule's own rise at the study's horizon."""
    search = search_for(budget={"trials": 40})

    proposals = run(search, {})

    assert [one.exempt_steps for one in proposals] == [rise_steps(one.candidate.schedule, 100) for one in proposals]
    assert any(one.exempt_steps for one in proposals)


def test_the_share_that_runs_on_is_drawn_from_the_seed() -> None:
    """About a fifth of 400 trials with run_on 0.2, the same ones each time; none with 0."""
    chosen = [
        [one.seq for one in next_proposals(search_for(budget={"trials": 800}, pruner=pruner,
         sampler={"kind": "random"}), [], 400) if one.run_on]
        for pruner in ({"run_on": 0.2}, {"run_on": 0.2}, {"run_on": 0.0})
    ]  # fmt: skip

    assert chosen[0] == chosen[1]
    assert 50 <= len(chosen[0]) <= 110
    assert chosen[2] == []


def test_what_the_sampler_saw_is_written_down() -> None:
    """Spans of ended proposals and foreign trials."""
    search = search_for(budget={"trials": 24})
    past = [trained(one) for one in next_proposals(search, [], 11)]
    past[4] = replace(past[4], state="leased", value=None)
    foreign = replace(sampled(search.space, 40), seq=None, number=12, origin="foreign", candidate=None)

    new = next_proposals(search, [*past, foreign], 1)

    assert new[0].seen == "0-3,5-10,foreign:12"


def test_a_gap_in_the_places_is_filled() -> None:
    """A place whose proposal is gone is proposed again, so that the budget stays exact."""
    search = search_for(budget={"trials": 24})
    past = [trained(one) for one in next_proposals(search, [], 12)]

    new = next_proposals(search, [one for one in past if one.seq != 10], 2)

    assert [one.seq for one in new] == [10, 12]


# Lag


def test_with_a_lag_a_proposal_waits_for_those_that_it_sees() -> None:
    """Lag 1: with 0 ... 9 proposed, place 10 waits for 8 but not for 9, and place 11 waits for 9."""
    search = search_for(budget={"trials": 24}, sampler={"lag": 1})
    past = [trained(one) for one in _first(search, 10)]
    without = {place: _but_open(past, place) for place in (8, 9)}

    assert next_proposals(search, without[8], 4) == []
    assert [one.seq for one in next_proposals(search, without[9], 4)] == [10]
    assert [one.seq for one in next_proposals(search, past, 4)] == [10, 11]


def _but_open(past: list[Past], place: int) -> list[Past]:
    return [replace(one, state="leased", value=None) if one.seq == place else one for one in past]


def test_with_a_lag_later_outcomes_and_foreign_trials_change_nothing() -> None:
    """Place 10 with lag 2 is made of 0 ... 7: what became of 8 and 9 is not looked at."""
    search = search_for(budget={"trials": 24}, sampler={"lag": 2})
    past = [trained(one, float(one.seq)) for one in _first(search, 10)]
    other = [*past[:8], replace(past[8], value=-50.0), replace(past[9], state="leased", value=None)]
    foreign = replace(sampled(search.space, 40), seq=None, origin="foreign", candidate=None, value=-9.0)

    one, two = (next_proposals(search, history, 1) for history in (past, [*other, foreign]))

    assert one == two
    assert one[0].seen == "0-7"


def test_with_a_lag_of_l_there_are_l_plus_one_proposals_ahead() -> None:
    """Lag 3 lets a worker of four slots start: places 0 ... 3 see nothing and wait for nothing."""
    search = search_for(budget={"trials": 24}, sampler={"lag": 3})

    assert [one.seq for one in next_proposals(search, [], 10)] == [0, 1, 2, 3]


def _first(search: Search, wanted: int) -> list[NewProposal]:
    past: list[Past] = []
    made: list[NewProposal] = []
    while len(made) < wanted:
        made += next_proposals(search, past, wanted - len(made))
        past = [trained(one, float(one.seq)) for one in made]
    return made


# Opponents outside the space


def test_a_baseline_is_inside_only_if_every_factor_is() -> None:
    """With SGD's LR held below 0.2 factor 3 of 0.1 lies outside, so the baseline is tuned elsewhere."""
    search = search_for(
        budget={"trials": 24}, space={"optimizers": {"sgd": {"lr": {"low": 0.01, "high": 0.2}}, "adamw": {}}}
    )

    assert search.opponents.outside == ["sgd-cosine"]
    assert all(search.space.params_of(one.candidate) for one in first_tries(search.opponents, 24))


def test_baselines_outside_are_tuned_at_three_factors_and_an_edge() -> None:
    """Each has four places among the tuning trials; the fourth is used when the best is at an edge."""
    opponents = Opponents(inside=[], outside=["sgd-cosine", "sgd-step"], current=None, current_inside=False)
    first = tuning_tries(opponents, 24, [], "minimize")
    past = [
        replace(trained(_tuning(place, one.origin, one.candidate)), value=one.factor) for place, one in first.items()
    ]

    second = tuning_tries(opponents, 24, past, "minimize")

    assert list(first) == [0, 1, 2, 4, 5, 6]
    assert sorted(second) == list(range(8))
    assert (second[3].factor, second[7].factor) == (0.1, 0.1)
    assert tuning_tries(opponents, 19, [], "minimize") == {}


def _tuning(place: int, origin: str, candidate: object) -> NewProposal:
    return NewProposal(seq=place, purpose="tuning", origin=origin, candidate=candidate, params=None, seed=0)  # type: ignore[arg-type]


def test_a_baseline_is_confirmed_at_its_best_lr() -> None:
    """The complete trial with the best value; one trial alone is no tuning; none leaves factor 1."""
    search = search_for(budget={"trials": 24})
    past = [trained(one, value) for value, one in enumerate(next_proposals(search, [], 9), start=1)]
    name = DEFAULTS[0]
    of_name = [one for one in past if one.origin == f"baseline:{name}"]

    down, up = (tuned_candidate(search.opponents, name, past, direction) for direction in ("minimize", "maximize"))

    assert down == (of_name[0].candidate, True)
    assert up == (of_name[-1].candidate, True)
    assert tuned_candidate(search.opponents, name, of_name[:1], "minimize") == (of_name[0].candidate, False)
    assert tuned_candidate(search.opponents, name, [], "minimize") == (BASELINES[name], False)


def test_named_baselines_stand_in_place_of_the_usual_ones() -> None:
    """Only those named, each once."""
    search = search_for(budget={"trials": 64}, confirmation={"baselines": ["adam-constant", "adam-constant"]})

    opponents = opponents_of(search.spec, search.space, sparse=False)

    assert opponents.names == ["adam-constant"]
