"""The five verbs over SQL on both databases, and over HTTP where the way there makes a difference."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, get_args

import optuna
import pytest
from sqlalchemy import text

from etude.work import HttpVerbs
from search_spaces.work import (
    ClaimRequest,
    Fidelity,
    FinishItem,
    FinishRequest,
    Held,
    ReleaseItem,
    ReleaseRequest,
    RenewRequest,
    TaskVersion,
    Verbs,
)
from store import Store
from store.claims import sweep_expired
from store.studies import change_state, get_study
from store.trials import get_trial, list_trials
from store.verbs import SqlVerbs
from tests.integration.service_http import serving
from tests.studies import add_proposals, claim, finish, report, report_item, run_study, stock_storage, stock_trials


@pytest.fixture
def verbs(store: Store) -> SqlVerbs:
    """The verbs over SQL."""
    return SqlVerbs(store)


@pytest.fixture(params=["sql", "http"])
def either(request: pytest.FixtureRequest, store: Store) -> Iterator[Verbs]:
    """The five verbs, straight on the store and through a service."""
    if request.param == "sql":
        yield SqlVerbs(store)
        return
    with serving(store) as client:
        spoken = HttpVerbs(str(client.base_url))
        yield spoken
        spoken.close()


def expire(store: Store) -> None:
    """Let every lease be over, as if its time had passed."""
    with store.begin() as connection:
        connection.execute(text("UPDATE etude_proposals SET lease_expires_at = 1.0 WHERE state = 'leased'"))


def test_claimed_trials_are_numbered_like_optunas_own(store: Store, verbs: Any) -> None:
    """The Optuna rows appear RUNNING at the first claim, numbered from 0, with the proposals' params."""
    run_study(store)
    add_proposals(store, count=3)

    first = claim(verbs, count=2)
    second = claim(verbs, count=5)

    trials = stock_trials(store.url)
    assert [trial.number for trial in first + second] == [0, 1, 2]
    assert [trial.state.name for trial in trials] == ["RUNNING"] * 3
    listed = list_trials(store, "mine").items
    assert [trial.params for trial in trials] == [view.params for view in listed]


def test_a_repeated_claim_gets_the_same_answer(store: Store, verbs: Any) -> None:
    """A claim whose answer was lost is asked again by its claim_id and leases nothing more."""
    run_study(store)
    add_proposals(store, count=4)

    first = claim(verbs, count=2, claim_id="once")
    again = claim(verbs, count=2, claim_id="once")

    assert sorted(t.number for t in again) == sorted(t.number for t in first)
    assert {t.lease for t in again} == {t.lease for t in first}
    assert get_study(store, "mine").counts.leased == 2


def test_only_offered_tasks_are_claimed(store: Store, verbs: Any) -> None:
    """A worker gets nothing of a task, or of a version, that it does not offer."""
    run_study(store)
    add_proposals(store, count=1)
    other = [TaskVersion(name="nothing", version="2"), TaskVersion(name="another", version="1")]

    answer = verbs.claim(ClaimRequest(worker="w", claim_id="c", tasks=other, count=1))

    assert answer.items == []


def test_rungs_and_curves_are_stored(store: Store, verbs: Any) -> None:
    """Reports make the curve; the first at or after a rung settles it, in Optuna's rows as well."""
    run_study(store)
    add_proposals(store, count=1)
    trial = claim(verbs)[0]

    report(verbs, report_item(trial, (5, 2.0), (12, 1.5)))
    report(verbs, report_item(trial, (20, math.inf), (25, 1.0)))

    view = get_trial(store, "mine", 0)
    assert trial.rungs == [10, 20, 30, 50]
    assert view.rungs == {10: 1.5, 20: math.inf}
    assert [(p.step, p.value) for p in view.curve or []] == [(5, 2.0), (12, 1.5), (20, math.inf), (25, 1.0)]
    assert stock_trials(store.url)[0].intermediate_values == {10: 1.5, 20: math.inf}


def test_long_curves_go_into_chunks(store: Store, verbs: Any) -> None:
    """A curve of any length comes back whole and in order, repeated points once."""
    run_study(store)
    add_proposals(store, count=1)
    trial = claim(verbs)[0]

    for start in range(1, 1000, 60):
        report(verbs, report_item(trial, *((step, step / 7) for step in range(max(1, start - 5), start + 60))))

    curve = get_trial(store, "mine", 0).curve or []
    assert [point.step for point in curve] == list(range(1, curve[-1].step + 1))
    assert all(point.value == point.step / 7 for point in curve)


def test_a_trial_that_falls_behind_is_pruned_at_once(store: Store, verbs: Any) -> None:
    """The worst of a pack is pruned in the report's transaction; the same report again gets the same directive."""
    run_study(store)
    add_proposals(store, count=8)
    trials = claim(verbs, count=8)

    answers = report(verbs, *(report_item(trial, (10, float(trial.number))) for trial in trials))
    again = report(verbs, *(report_item(trial, (10, float(trial.number))) for trial in trials))

    directives = [answer.directive for answer in answers]
    assert directives == ["continue"] * 5 + ["prune"] * 3
    assert [answer.directive for answer in again] == directives
    states = [trial.state.name for trial in stock_trials(store.url)]
    assert states == ["RUNNING"] * 5 + ["PRUNED"] * 3
    assert get_study(store, "mine").counts.pruned == 3


def test_items_of_one_trial_are_one_report(store: Store, either: Verbs) -> None:
    """Two items of a trial, the later steps first, are stored as one in the order of steps; again, nothing changes."""
    run_study(store)
    add_proposals(store, count=2)
    trial, other = claim(either, count=2)
    late = report_item(trial, (20, 1.0), (25, 0.9), worker_seconds=2.0)
    early = report_item(trial, (5, 3.0), (10, 2.0), worker_seconds=1.0, checkpoint="file")

    first = report(either, late, report_item(other, (5, 1.0)), early)
    seconds = get_trial(store, "mine", trial.number).worker_seconds
    again = report(either, late, report_item(other, (5, 1.0)), early)

    view = get_trial(store, "mine", trial.number)
    assert [(answer.number, answer.directive) for answer in first] == [
        (trial.number, "continue"), (other.number, "continue"), (trial.number, "continue"),
    ]  # fmt: skip
    assert [answer.directive for answer in again] == ["continue"] * 3
    assert view.rungs == {10: 2.0, 20: 1.0}
    assert [(p.step, p.value) for p in view.curve or []] == [(5, 3.0), (10, 2.0), (20, 1.0), (25, 0.9)]
    assert seconds == 3.0
    assert stock_trials(store.url)[trial.number].intermediate_values == {10: 2.0, 20: 1.0}


@pytest.mark.parametrize("worst_at", [10, 20])
def test_items_of_one_trial_are_pruned_together(store: Store, either: Verbs, worst_at: int) -> None:
    """A trial that any of its items' rungs prunes is pruned, both items are told so, now and when asked again."""
    run_study(store)
    add_proposals(store, count=7)
    *others, bad = claim(either, count=7)
    report(either, *(report_item(trial, (10, 1.0), (20, 1.0)) for trial in others))
    items = [report_item(bad, (step, 9.0 if step == worst_at else 0.5)) for step in (10, 20)]

    first, again = report(either, *items), report(either, *items)

    assert [answer.directive for answer in [*first, *again]] == ["prune"] * 4
    assert get_trial(store, "mine", bad.number).state == "pruned"
    assert get_study(store, "mine").counts.pruned == 1


def test_a_trial_that_is_finished_twice_in_one_call(store: Store, either: Verbs) -> None:
    """The first of two items ends it; the other is answered as a repeated finish is."""
    run_study(store)
    add_proposals(store, count=1)
    trial = claim(either)[0]
    key: dict[str, Any] = {"study": "mine", "number": 0, "lease": trial.lease, "state": "complete", "steps_done": 100}

    answers = either.finish(
        FinishRequest(worker="w1", items=[FinishItem(**key, value=value) for value in (0.25, 0.5)])
    ).items

    assert [answer.accepted for answer in answers] == [True, True]
    assert get_trial(store, "mine", 0).value == 0.25
    assert get_study(store, "mine").counts.complete == 1


@pytest.mark.parametrize("fidelity", get_args(Fidelity))
def test_a_candidate_inside_its_own_rise_is_exempt(store: Store, verbs: Any, fidelity: str) -> None:
    """Whatever is compared, the worst of nine goes on at a rung in its rise, and falls at the first one behind it."""
    run_study(store, pruner={"fidelity": fidelity})
    add_proposals(store, count=8)
    add_proposals(store, count=1, first=8, exempt_steps=11)
    trials = claim(verbs, count=9)

    at_10, at_20 = (
        report(verbs, *(report_item(trial, (rung, float(trial.number))) for trial in trials)) for rung in (10, 20)
    )

    assert (at_10[8].directive, at_20[8].directive) == ("continue", "prune")


@pytest.mark.parametrize("fields", [{"prunable": False}, {"run_on": True}, {"exempt_steps": 11}])
def test_some_trials_are_never_pruned(store: Store, verbs: Any, fields: dict[str, Any]) -> None:
    """Baselines, the share that runs on, and candidates inside their own warm-up go on whatever their value."""
    run_study(store)
    add_proposals(store, count=6)
    add_proposals(store, count=1, first=6, **fields)
    trials = claim(verbs, count=7)

    answers = report(verbs, *(report_item(trial, (10, float(trial.number))) for trial in trials))

    assert answers[6].directive == "continue"


def test_a_warm_ups_value_is_not_counted(store: Store, verbs: Any) -> None:
    """A value reported inside a candidate's own warm-up is shown and compared with nobody."""
    run_study(store)
    add_proposals(store, count=6, exempt_steps=11)
    add_proposals(store, count=1, first=6)
    trials = claim(verbs, count=7)

    answers = report(verbs, *(report_item(trial, (10, float(trial.number))) for trial in trials))

    assert answers[6].directive == "continue"
    assert get_trial(store, "mine", 0).rungs == {10: 0.0}


def test_finishing_is_idempotent(store: Store, verbs: Any) -> None:
    """A finish asked twice is accepted twice and counted once; Optuna has the value."""
    run_study(store)
    add_proposals(store, count=1)
    trial = claim(verbs)[0]

    first = finish(verbs, trial, 0.25, metrics={"accuracy": 0.9})
    second = finish(verbs, trial, 0.25, metrics={"accuracy": 0.9})

    assert first.accepted
    assert second.accepted
    assert get_study(store, "mine").counts.complete == 1
    assert stock_trials(store.url)[0].value == 0.25
    assert stock_trials(store.url)[0].user_attrs["metrics"] == {"accuracy": 0.9}


def test_the_last_reports_come_with_the_finish(store: Store, verbs: Any) -> None:
    """Reports sent with finish belong to the curve, and settle the rungs that they reach."""
    run_study(store)
    add_proposals(store, count=1)
    trial = claim(verbs)[0]
    reports = report_item(trial, (30, 0.9), (100, 0.4)).reports

    finish(verbs, trial, 0.4, reports=reports)

    view = get_trial(store, "mine", 0)
    assert view.state == "complete"
    assert [(p.step, p.value) for p in view.curve or []] == [(30, 0.9), (100, 0.4)]
    assert view.rungs == {10: 0.9, 20: 0.9, 30: 0.9, 50: 0.4}


@pytest.mark.parametrize("steps_done", [0, 99, 101])
def test_a_training_of_another_length_is_no_complete_trial(store: Store, verbs: Any, steps_done: int) -> None:
    """A complete trial that made fewer or more updates than its horizon fails, with the reason and both counts."""
    run_study(store)
    add_proposals(store, count=1)
    trial = claim(verbs)[0]

    answers = [finish(verbs, trial, steps_done=steps_done) for _ in range(2)]

    view = get_trial(store, "mine", 0)
    assert all(answer.accepted for answer in answers)
    assert (view.state, view.value) == ("failed", None)
    assert view.error == f"horizon_mismatch: {steps_done} updates instead of 100"
    assert view.steps_done == steps_done
    assert stock_trials(store.url)[0].state.name == "FAIL"
    assert stock_trials(store.url)[0].user_attrs["error"] == view.error


def test_a_finish_that_says_nothing_of_its_updates_is_believed(store: Store, verbs: Any) -> None:
    """A caller that does not count its updates completes its trial."""
    run_study(store)
    add_proposals(store, count=1)
    trial = claim(verbs)[0]
    item = FinishItem(study="mine", number=0, lease=trial.lease, state="complete", value=0.5)

    verbs.finish(FinishRequest(worker="w1", items=[item]))

    assert get_trial(store, "mine", 0).state == "complete"


def test_a_failed_trial_keeps_its_error(store: Store, verbs: Any) -> None:
    """A trial that failed says why, here and in Optuna's attributes."""
    run_study(store)
    add_proposals(store, count=1)
    trial = claim(verbs)[0]

    finish(verbs, trial, None, state="failed", error="diverged")

    assert get_trial(store, "mine", 0).error == "diverged"
    assert stock_trials(store.url)[0].state.name == "FAIL"
    assert stock_trials(store.url)[0].user_attrs["error"] == "diverged"


def test_a_lost_lease_is_refused(store: Store, verbs: Any) -> None:
    """After a lease expired and went to another worker, the first one's verbs are answered lease_lost."""
    run_study(store)
    add_proposals(store, count=1)
    mine = claim(verbs, worker="slow")[0]
    expire(store)
    theirs = claim(verbs, worker="quick")[0]

    late = report(verbs, report_item(mine, (10, 1.0)))[0]
    late_finish = finish(verbs, mine)

    assert (theirs.number, theirs.lease != mine.lease) == (mine.number, True)
    assert (late.accepted, late.code) == (False, "lease_lost")
    assert (late_finish.accepted, late_finish.code) == (False, "lease_lost")
    assert finish(verbs, theirs).accepted
    assert get_trial(store, "mine", 0).attempts == 1


def test_three_expiries_without_a_rung_fail_the_trial(store: Store, verbs: Any) -> None:
    """A trial that kills its workers is given up; a rung in between starts the count anew."""
    run_study(store)
    add_proposals(store, count=1)
    for attempt in range(2):
        claim(verbs, worker=f"w{attempt}")
        expire(store)
    report(verbs, report_item(claim(verbs)[0], (10, 1.0)))
    expire(store)
    for attempt in range(2):
        assert len(claim(verbs, worker=f"x{attempt}")) == 1
        expire(store)

    sweep_expired(store)

    view = get_trial(store, "mine", 0)
    assert (view.state, view.attempts) == ("failed", 5)
    assert stock_trials(store.url)[0].state.name == "FAIL"


def test_releasing_counts_no_attempt(store: Store, verbs: Any) -> None:
    """A trial given back is claimed again under its number, with its checkpoint."""
    run_study(store)
    add_proposals(store, count=1)
    trial = claim(verbs)[0]
    gift = ReleaseItem(study="mine", number=0, lease=trial.lease, checkpoint="file", worker_seconds=2.0)

    verbs.release(ReleaseRequest(worker="w1", items=[gift]))
    again = claim(verbs, worker="w2")[0]

    assert (again.number, again.checkpoint, again.lease != trial.lease) == (0, "file", True)
    assert get_trial(store, "mine", 0).attempts == 0
    assert get_trial(store, "mine", 0).worker_seconds == 2.0


def test_renewing_moves_the_expiry(store: Store, verbs: Any) -> None:
    """Renew prolongs what is held and says lease_lost for the rest."""
    run_study(store)
    add_proposals(store, count=1)
    trial = claim(verbs)[0]
    expire(store)
    mine = Held(study="mine", number=0, lease=trial.lease)
    foreign = Held(study="mine", number=0, lease="no such lease")

    answers = verbs.renew(RenewRequest(worker="w1", items=[mine, foreign])).items

    assert (answers[0].accepted, answers[1].code) == (True, "lease_lost")
    assert sweep_expired(store) == 0


def test_stopping_a_study_ends_its_trials(store: Store, verbs: Any) -> None:
    """Workers hear `stop` with their next report; proposals that nobody had are gone."""
    run_study(store)
    add_proposals(store, count=3)
    trial = claim(verbs)[0]

    change_state(store, "mine", "stopped")
    answer = report(verbs, report_item(trial, (10, 1.0)))[0]

    assert (answer.accepted, answer.directive) == (True, "stop")
    view = get_study(store, "mine")
    assert (view.state, view.counts.stopped, view.counts.proposed) == ("stopped", 1, 0)
    assert [t.state.name for t in stock_trials(store.url)] == ["FAIL"]
    assert claim(verbs) == []


def test_a_paused_study_is_not_claimed(store: Store, verbs: Any) -> None:
    """Pause ends claims only: what is leased runs on, and resuming gives the rest."""
    run_study(store)
    add_proposals(store, count=2)
    trial = claim(verbs)[0]

    change_state(store, "mine", "paused")
    while_paused = claim(verbs)
    ended = finish(verbs, trial)
    change_state(store, "mine", "running")

    assert (while_paused, ended.accepted) == ([], True)
    assert len(claim(verbs)) == 1


def test_a_foreign_trial_is_shown_and_not_ours(store: Store, verbs: Any) -> None:
    """Stock Optuna may add a trial to a running study: numbers stay unique and the budget is not touched."""
    run_study(store)
    add_proposals(store, count=2)
    claim(verbs)

    with stock_storage(store.url) as storage:
        study = optuna.load_study(study_name="mine", storage=storage)
        study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    claim(verbs)

    listed = list_trials(store, "mine").items
    assert [view.number for view in listed] == [0, 1, 2]
    assert [view.origin for view in listed] == ["sampler", "foreign", "sampler"]
    assert get_study(store, "mine").counts.foreign == 1
    assert len(stock_trials(store.url)) == 3


def test_values_at_a_rung_are_compared_to_their_last_digit(store: Store, verbs: Any) -> None:
    """A trial exactly at the median of the others passes, whatever its digits."""
    value = 0.1 + 0.2
    run_study(store, pruner={"kind": "median"})
    add_proposals(store, count=7)
    trials = claim(verbs, count=7)
    for trial in trials[:6]:
        report(verbs, report_item(trial, (10, value)))

    answer = report(verbs, report_item(trials[6], (10, value)))[0]

    assert answer.directive == "continue"
