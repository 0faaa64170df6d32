"""Studies whose rungs compare other than raw values, on both databases: what is stored, compared and passed on."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from search_spaces.work import ClaimedTrial, ReleaseItem, ReleaseRequest, Report, ReportItem
from store import Store
from store.proposals import history
from store.studies import own
from store.tables import rung_values
from store.trials import get_trial
from store.verbs import SqlVerbs
from tests.studies import add_proposals, claim, finish, report, report_item, run_study, stock_trials


@pytest.fixture
def verbs(store: Store) -> SqlVerbs:
    """The verbs over SQL."""
    return SqlVerbs(store)


def averaged_item(trial: ClaimedTrial, step: int, raw: float, averaged: float) -> ReportItem:
    """A rung's report as a worker makes it: the raw value and that of the better average."""
    item = report_item(trial, (step, raw))
    return item.model_copy(update={"reports": [*item.reports, Report(step=step, value=averaged, kind="averaged")]})


def test_a_claim_says_what_rungs_compare(store: Store, verbs: Any) -> None:
    """Trials are compared as their study says; weights are averaged in one that says nothing."""
    run_study(store, "mine")
    run_study(store, "raw", pruner={"fidelity": "truncated"})
    for name in ("mine", "raw"):
        add_proposals(store, name, count=1)

    claimed = {trial.study: trial.fidelity for trial in claim(verbs, count=2)}

    assert claimed == {"raw": "truncated", "mine": "averaged"}


def test_the_better_of_raw_and_averaged_is_compared(store: Store, verbs: Any) -> None:
    """A trial that looks worst by its raw value and best by its average passes; the one behind in both is pruned."""
    run_study(store, pruner={"fidelity": "averaged", "keep": 0.5})
    add_proposals(store, count=8)
    trials = claim(verbs, count=8)
    pairs = [(1.0 + place / 10, 0.9 + place / 10) for place in range(6)] + [(9.0, 0.1), (9.0, 8.0)]

    answers = report(verbs, *(averaged_item(t, 10, *pair) for t, pair in zip(trials, pairs, strict=True)))

    directives = [answer.directive for answer in answers]
    assert directives[6:] == ["continue", "prune"]
    assert directives[0] == "continue"


def test_raw_values_stay_what_people_see(store: Store, verbs: Any) -> None:
    """Optuna's rows and the trial's rungs hold raw values; the compared ones lie beside them and in the curve."""
    run_study(store, pruner={"fidelity": "averaged"})
    add_proposals(store, count=1)
    trial = claim(verbs)[0]

    report(verbs, averaged_item(trial, 10, 2.0, 1.5))
    report(verbs, averaged_item(trial, 20, 1.0, 1.2))

    with store.read() as connection:
        rows = connection.execute(
            select(rung_values.c.rung, rung_values.c.kind, rung_values.c.value, rung_values.c.counted)
        ).all()
    view = get_trial(store, "mine", 0)
    assert sorted(map(tuple, rows)) == [
        (10, "averaged", 1.5, True), (10, "raw", 2.0, False), (20, "averaged", 1.0, True), (20, "raw", 1.0, False),
    ]  # fmt: skip
    assert view.rungs == {10: 2.0, 20: 1.0}
    assert [(p.step, p.kind, p.value) for p in view.curve or []] == [
        (10, "averaged", 1.5), (10, "raw", 2.0), (20, "averaged", 1.2), (20, "raw", 1.0),
    ]  # fmt: skip
    assert stock_trials(store.url)[0].intermediate_values == {10: 2.0, 20: 1.0}


def test_a_worker_that_cannot_average_is_compared_by_raw_values(store: Store, verbs: Any) -> None:
    """A loop outside our workers reports raw values only: they stand for the averaged ones, and are stored as such."""
    run_study(store, pruner={"fidelity": "averaged", "keep": 0.5})
    add_proposals(store, count=8)
    trials = claim(verbs, count=8)

    answers = report(verbs, *(report_item(trial, (10, float(place))) for place, trial in enumerate(trials)))

    assert [answer.directive for answer in answers][-1] == "prune"
    assert answers[0].directive == "continue"


def test_the_sampler_learns_from_what_is_compared(store: Store, verbs: Any) -> None:
    """What the coordinator reads of a trial's rungs is the compared value."""
    run_study(store, pruner={"fidelity": "averaged"})
    add_proposals(store, count=1)
    trial = claim(verbs)[0]
    report(verbs, averaged_item(trial, 10, 2.0, 1.5))
    finish(verbs, trial)

    study = next(live for live in own(store, "tests", 60) if live.name == "mine")

    assert [past.rungs for past in history(store, study.study_id)] == [{10: 1.5}]


def of_kind(trial: ClaimedTrial, kind: str, *points: tuple[int, float], **fields: Any) -> ReportItem:
    """Reports of one kind."""
    reports = [Report.model_validate({"step": step, "value": value, "kind": kind}) for step, value in points]
    return report_item(trial, **fields).model_copy(update={"reports": reports})


def test_a_claim_says_what_to_train_beside(store: Store, verbs: Any) -> None:
    """The branch's length in updates, and which rungs are decided: they are not asked for again."""
    run_study(store, pruner={"fidelity": "cooldown", "cooldown": 0.07})
    add_proposals(store, count=1)
    trial = claim(verbs)[0]
    report(verbs, report_item(trial, (10, 1.0), (20, 1.0)))
    verbs.release(ReleaseRequest(worker="w1", items=[ReleaseItem(study="mine", number=0, lease=trial.lease)]))

    again = claim(verbs)[0]

    assert (trial.fidelity, trial.cooldown_steps, trial.settled_rung) == ("cooldown", 7, 0)
    assert again.settled_rung == 20


def test_a_branch_decides_and_the_raw_value_stands_in(store: Store, verbs: Any) -> None:
    """The branch's value is compared although the raw one is better; a trial without a branch has its raw one."""
    run_study(store, pruner={"fidelity": "cooldown", "keep": 0.5})
    add_proposals(store, count=8)
    trials = claim(verbs, count=8)
    items = [report_item(trial, (10, 1.0 + place / 10)) for place, trial in enumerate(trials[:6])]
    for trial, raw, cooled in ((trials[6], 9.0, 0.1), (trials[7], 0.0, 8.0)):
        branch = Report(step=10, value=cooled, kind="cooldown")
        item = report_item(trial, (10, raw))
        items.append(item.model_copy(update={"reports": [*item.reports, branch], "extra_steps": 5}))

    answers = report(verbs, *items)

    assert [answer.directive for answer in answers][5:] == ["prune", "continue", "prune"]
    view = get_trial(store, "mine", 6)
    assert (view.rungs, view.extra_steps, view.steps_done) == ({10: 9.0}, 5, 10)
    assert stock_trials(store.url)[6].intermediate_values == {10: 9.0}


def test_a_shorter_schedule_is_compared_before_the_trial_begins(store: Store, verbs: Any) -> None:
    """Its value is the rung's; no update of the trial's own is made yet, and those beside are counted."""
    run_study(store, pruner={"fidelity": "rescaled", "keep": 0.5})
    add_proposals(store, count=8)
    trials = claim(verbs, count=8)

    answers = report(
        verbs,
        *(of_kind(trial, "rescaled", (10, float(place)), extra_steps=10) for place, trial in enumerate(trials)),
    )

    assert [answer.directive for answer in answers] == ["continue"] * 4 + ["prune"] * 4
    view = get_trial(store, "mine", 7)
    assert (view.state, view.rungs, view.steps_done, view.extra_steps) == ("pruned", {10: 7.0}, 0, 10)
    assert [(point.kind, point.step) for point in view.curve or []] == [("rescaled", 10)]
    assert stock_trials(store.url)[7].intermediate_values == {10: 7.0}


def test_the_trials_own_training_settles_no_rung_again(store: Store, verbs: Any) -> None:
    """Behind its shorter schedules a trial's raw values are its curve; what ends it is its horizon."""
    run_study(store, pruner={"fidelity": "rescaled"})
    add_proposals(store, count=1)
    trial = claim(verbs)[0]
    report(verbs, of_kind(trial, "rescaled", (10, 3.0), (20, 2.0), (30, 1.5), (50, 1.0), extra_steps=110))

    report(verbs, report_item(trial, (10, 8.0), (50, 7.0)))
    finish(verbs, trial, 0.9, extra_steps=0)

    view = get_trial(store, "mine", 0)
    assert view.rungs == {10: 3.0, 20: 2.0, 30: 1.5, 50: 1.0}
    assert (view.steps_done, view.extra_steps, view.value) == (100, 110, 0.9)


def test_a_report_of_another_fidelity_decides_nothing(store: Store, verbs: Any) -> None:
    """Where raw values are compared, those of a shorter schedule are no more than a curve."""
    run_study(store)
    add_proposals(store, count=1)
    trial = claim(verbs)[0]

    report(verbs, of_kind(trial, "rescaled", (10, 3.0)))

    assert get_trial(store, "mine", 0).rungs == {}


def test_extra_updates_are_counted_by_every_verb(store: Store, verbs: Any) -> None:
    """Each says what is new since the last."""
    run_study(store, pruner={"fidelity": "cooldown"})
    add_proposals(store, count=1)
    trial = claim(verbs)[0]
    report(verbs, report_item(trial, (10, 1.0), extra_steps=5))
    gift = ReleaseItem(study="mine", number=0, lease=trial.lease, extra_steps=3)
    verbs.release(ReleaseRequest(worker="w1", items=[gift]))

    finish(verbs, claim(verbs)[0], extra_steps=4)

    assert get_trial(store, "mine", 0).extra_steps == 12


def test_a_trial_is_compared_at_its_phase(store: Store, verbs: Any) -> None:
    """Of two that look alike, worst among those of their own phase and best of the other's, one goes and one stays."""
    run_study(store, pruner={"fidelity": "phase", "keep": 0.5, "startup_trials": 3}, budget={"trials": 14})
    for first, left in ((0, 0.9), (6, 0.2)):
        add_proposals(store, count=6, first=first, phases=[left] * 4)
    add_proposals(store, count=1, first=12, phases=[0.9] * 4)
    add_proposals(store, count=1, first=13, phases=[0.2] * 4)
    trials = claim(verbs, count=14)
    values = [2.0 + place / 10 for place in range(6)] + [1.0 - place / 10 for place in range(6)] + [1.5, 1.5]

    answers = report(verbs, *(report_item(trial, (10, value)) for trial, value in zip(trials, values, strict=True)))

    assert [answer.directive for answer in answers][12:] == ["continue", "prune"]


def test_phases_are_compared_with_those_of_earlier_reports(store: Store, verbs: Any) -> None:
    """What was seen at a rung is stored with its phase, nan and all."""
    run_study(store, pruner={"fidelity": "phase", "keep": 0.5, "startup_trials": 3}, budget={"trials": 14})
    add_proposals(store, count=6, phases=[0.1 + 0.2] * 4)
    add_proposals(store, count=6, first=6, phases=[0.9] * 4)
    trials = claim(verbs, count=12)
    values = [float("nan"), *map(float, range(1, 11))]
    report(verbs, *(report_item(trial, (10, value)) for trial, value in zip(trials, values, strict=False)))

    answer = report(verbs, report_item(trials[11], (10, 6.5)))[0]

    with store.read() as connection:
        phases = connection.execute(select(rung_values.c.phase)).scalars().all()
    assert set(phases) == {0.1 + 0.2, 0.9}
    assert answer.directive == "continue"
