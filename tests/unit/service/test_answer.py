"""The answer at every moment: what it names, what it says first, and that no search score is in it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from search_spaces.baselines import BASELINES
from search_spaces.results import Answer, BestTrial, BudgetUse, Counts, StudyView
from service.answer import interim_answer
from service.conclusion import conclude_study, confirmed_study
from service.confirmation import Plan, confirmation_proposals, plan_confirmation
from service.extras import extras_of, proposals_of
from service.search import Search, next_proposals
from store.proposals import NewProposal, Past

from .made import sampled, search_for, trained

SEARCH_SCORE = 0.123456
BEST = BASELINES["adam-constant"]
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def view(state: str = "running", **fields: Any) -> StudyView:
    search = search_for(budget={"trials": 24})
    known: dict[str, Any] = {
        "name": "mine", "state": state, "spec": search.spec, "horizon_steps": 100, "metric": "loss",
        "direction": "minimize", "counts": Counts(complete=5, pruned=2),
        "budget": BudgetUse(trials=24, used_trials=7, used_worker_seconds=14.0),
        "best": BestTrial(trial=3, value=SEARCH_SCORE), "created_at": EPOCH, "updated_at": EPOCH,
    }  # fmt: skip
    return StudyView(**(known | fields))


@pytest.mark.parametrize(
    ("state", "status", "sentence"),
    [
        ("queued", "searching", "The study waits for a worker that offers the task nothing. Best so far, not"),
        ("running", "searching", "The search is under way (7 of 24 trials). Best so far, not confirmed: Adam"),
        ("paused", "searching", "The search is paused (7 of 24 trials). Best so far, not confirmed: Adam"),
        ("confirming", "confirming", "The confirmation is under way (2 of 6 trainings). Best so far, not"),
        ("confirming_paused", "confirming", "The confirmation is paused (2 of 6 trainings). Best so far, not"),
        ("stopped", "stopped", "The study stopped before its answer was final: enough. Best so far, not"),
        ("failed", "stopped", "The study failed before its answer was final: enough. Best so far, not"),
    ],
)
def test_before_the_verdict_the_best_is_said_to_be_unconfirmed(state: str, status: str, sentence: str) -> None:
    """Every state has its status and sentence; the candidate is there, its search score is not."""
    reason = "enough" if status == "stopped" else None
    shown = view(state, reason=reason, confirmation=Counts(complete=2, leased=1, proposed=3))

    answer = interim_answer(shown, BEST)

    assert (answer.status, answer.verdict, answer.candidate) == (status, None, BEST)
    assert answer.sentence.startswith(sentence)
    assert "0.123" not in answer.model_dump_json()


def test_a_study_stopped_while_it_searched_has_confirmed_nothing() -> None:
    """It says so; one that was stopped later has trained some of its confirmation."""
    stopped = interim_answer(view("stopped", reason="enough"), BEST)

    assert stopped.sentence.startswith("The study stopped before anything was confirmed: enough. Best so far, not")


def test_nothing_complete_is_no_candidate() -> None:
    """candidate and its text are null, and the sentence says so."""
    answer = interim_answer(view(best=None), None)

    assert (answer.candidate, answer.candidate_text) == (None, None)
    assert answer.sentence == "The search is under way (7 of 24 trials). Nothing is complete yet."


def evaluations_after(search: Search, plan: Plan, past: list[Past]) -> list[NewProposal]:
    """The evaluations on the test split that follow a confirmation."""
    confirmed = confirmed_study(search, view("confirming"), plan, past)
    wanted = proposals_of(confirmed, extras_of(confirmed).wanted)
    return [one for one in wanted if one.origin.startswith("test:")]


def concluded(candidate: float, baseline: float, **fields: Any) -> tuple[Search, Plan, list[Past]]:
    """A confirmed study whose first candidate and first baseline have these losses, give or take a seed's noise."""
    search = search_for(budget={"trials": 24}, confirmation={"seeds": 3}, **fields)
    past = [trained(one, 9.0) for one in next_proposals(search, [], 9)]
    past += [sampled(search.space, seq, value=SEARCH_SCORE + seq) for seq in range(9, 24)]
    plan = plan_confirmation(search, past)
    losses = {"confirmation:candidate-1": candidate, "confirmation:sgd-cosine": baseline}
    for one in confirmation_proposals(plan):
        noise = {0: 0.0, 1: 0.01, 2: -0.02}[plan.seeds.index(one.seed)]
        own = 0.01 * (1 if one.origin == "confirmation:candidate-1" else -1) * noise
        value = losses.get(one.origin, 9.0) + noise + own
        past.append(trained(one, value, metrics={"accuracy": 0.9}))
    tested = evaluations_after(search, plan, past)
    past += [trained(one, metrics={"test_loss": 7.0}) for one in tested]
    return search, plan, past


def test_a_winner_is_advised_with_its_difference_seeds_horizon_and_cost() -> None:
    """The sentence says change, to what, by how much with the interval, on how many seeds, where, and the cost."""
    search, plan, past = concluded(1.0, 2.0)

    answer = conclude_study(search, view("confirming"), plan, past)

    assert (answer.status, answer.verdict, answer.candidate) == ("final", "winner", plan.arms[0].candidate)
    first = f"Change: the search found what does better than sgd-cosine. Train with {answer.candidate_text}."
    assert answer.sentence.startswith(f"{first} Its loss is 1 lower (95 % interval: ")
    for words in ("than that of sgd-cosine, on 3 fresh seeds", "at 100 steps", "search took 48 s",
                  "the confirmation 30 s and what followed it 4.0 s"):  # fmt: skip
        assert words in answer.sentence
    assert answer.evidence.finalist == "candidate-1"
    assert [score.arm for score in answer.evidence.test_scores] == ["candidate-1", "sgd-cosine"]
    assert answer.evidence.test_scores[0].metrics == answer.evidence.test == {"test_loss": 7.0}
    assert "0.123" not in answer.model_dump_json(exclude={"evidence": {"arms"}})


def test_where_the_baseline_is_better_it_is_kept() -> None:
    """no_winner names the best baseline, with its test scores; the finalist stays in the evidence."""
    search, plan, past = concluded(3.0, 2.0)

    answer = conclude_study(search, view("confirming"), plan, past)

    baseline = next(arm for arm in plan.arms if arm.name == "sgd-cosine")
    assert (answer.verdict, answer.candidate) == ("no_winner", baseline.candidate)
    assert answer.sentence.startswith("Keep sgd-cosine: the search's finalist did not do better. Sgd-cosine is SGD")
    assert "; its loss is 1 higher" in answer.sentence
    assert answer.evidence.finalist == "candidate-1"
    assert [score.arm for score in answer.evidence.test_scores] == ["sgd-cosine"]


def test_an_undecided_answer_that_is_ahead_says_that_nothing_was_shown() -> None:
    """The finalist is named, hardly advised, and the gain that would most likely have been seen is said."""
    search, plan, past = concluded(1.9999, 2.0)

    answer = conclude_study(search, view("confirming"), plan, past)

    assert (answer.verdict, answer.candidate) == ("undecided", plan.arms[0].candidate)
    assert answer.sentence.startswith("Change only if it costs nothing: the search's finalist was not shown to be")
    assert f"The finalist is {answer.candidate_text}." in answer.sentence
    assert "would most likely have been seen" in answer.sentence


def test_an_undecided_answer_that_is_behind_keeps_the_baseline() -> None:
    """A finalist that did worse on the fresh seeds is not what the answer names, whatever the interval."""
    search, plan, past = concluded(2.0001, 2.0)

    answer = conclude_study(search, view("confirming"), plan, past)

    baseline = next(arm for arm in plan.arms if arm.name == "sgd-cosine")
    assert (answer.verdict, answer.candidate) == ("undecided", baseline.candidate)
    assert answer.sentence.startswith("Keep sgd-cosine: the search's finalist did not do better.")
    assert answer.evidence.finalist == "candidate-1"


def test_a_parameter_at_the_edge_is_named() -> None:
    """A finalist whose LR is the top of its range says that a wider range may be better."""
    search, _, past = concluded(1.0, 2.0)
    at = next(place for place, one in enumerate(past) if one.seq == 9)
    params = past[at].params
    lr = f"{params['optimizer']}.lr"
    top = search.space.ranges()[lr].high  # type: ignore[union-attr]
    edged = search.space.candidate_of(params | {lr: top})
    past[at] = replace(past[at], candidate=edged, params=params | {lr: top})
    past = [replace(one, candidate=edged) if one.origin == "confirmation:candidate-1" else one for one in past]

    answer = conclude_study(search, view("confirming"), plan_confirmation(search, past[:24]), past)

    assert answer.candidate == edged
    assert lr in answer.evidence.at_edge


def test_without_a_candidate_of_its_own_the_best_baseline_is_kept() -> None:
    """A budget of one trial is a baseline's: it is the answer, and the sentence says why."""
    search = search_for(budget={"trials": 1}, confirmation={"seeds": 2})
    past = [trained(one, 1.0) for one in next_proposals(search, [], 1)]
    plan = plan_confirmation(search, past)
    past += [trained(one, 1.0 + one.seq / 10) for one in confirmation_proposals(plan)]

    answer = conclude_study(search, view("confirming"), plan, past)

    assert (answer.verdict, answer.candidate) == ("undecided", BASELINES["sgd-cosine"])
    assert "put nothing better forward" in answer.sentence
    assert "sgd-cosine: not tuned" in answer.evidence.notes


def test_a_confirmation_of_which_nothing_ended_well_has_no_candidate() -> None:
    """Every training failed: null, and the sentence says so."""
    search, plan, past = concluded(1.0, 2.0)
    failed = [replace(one, state="failed", value=None) if one.purpose == "confirmation" else one for one in past]

    answer = conclude_study(search, view("confirming"), plan, failed)

    assert (answer.verdict, answer.candidate) == ("undecided", None)
    assert answer.sentence.startswith("Nothing could be confirmed")


def test_an_answer_stored_by_an_older_version_opens() -> None:
    """Fields that came later have their defaults; the test split's scores are where they were."""
    search, plan, past = concluded(1.0, 2.0)
    stored = conclude_study(search, view("confirming"), plan, past).model_dump(mode="json")
    for later in ("ladder", "steps_saved", "test_scores", "optimum", "min_gain"):
        del stored["evidence"][later]
    for later in ("confidence", "level", "method", "method_version"):
        del stored["evidence"]["difference"][later]
    del stored["sentences"], stored["compute"]["extras"]

    opened = Answer.model_validate(stored)

    assert opened.evidence.test == {"test_loss": 7.0}
    assert (opened.sentences, opened.evidence.test_scores) == ([], [])
