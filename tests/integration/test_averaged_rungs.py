"""Studies whose rungs compare averaged weights, on both databases: what is stored, compared and passed on."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from search_spaces.work import ClaimedTrial, Report, ReportItem
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
    """Trials of the search are to be averaged; a study that says nothing compares raw values."""
    run_study(store, "raw")
    run_study(store, "mine", pruner={"fidelity": "averaged"})
    for name in ("raw", "mine"):
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
