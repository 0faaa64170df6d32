"""From a submitted study to the answer, with real processes: the exact budget, and the same rows in stock Optuna."""

from __future__ import annotations

import math
from pathlib import Path

import optuna
import pytest

from search_spaces.results import TrialView
from tests.machine import Machine, started

STATES = {"complete": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL", "stopped": "FAIL"}


def same(ours: float | None, theirs: float | None) -> bool:
    """Equal, where a NaN equals itself."""
    if ours is None or theirs is None:
        return ours is theirs
    return ours == theirs or (math.isnan(ours) and math.isnan(theirs))


def assert_same_row(ours: TrialView, theirs: optuna.trial.FrozenTrial) -> None:
    """One trial in our API and in stock Optuna."""
    assert theirs.state.name == STATES[ours.state]
    assert dict(theirs.params) == ours.params
    assert theirs.intermediate_values == pytest.approx(ours.rungs, nan_ok=True)
    if ours.state == "complete":
        assert same(ours.value, theirs.value)


def add_foreign_trial(machine: Machine, name: str) -> None:
    """What a user of stock Optuna would do, in a study that is running."""
    study = optuna.load_study(study_name=name, storage=machine.settings.store_url)
    study.optimize(lambda trial: 100.0 + trial.suggest_float("mine", 0, 1), n_trials=1)


def test_forty_trials_are_forty_in_our_api_and_in_stock_optuna(tmp_path: Path) -> None:
    """Two workers and a foreign trial in between: exactly 40 of ours, the same rows and best value in both.

    One packs, and has the store. The other has ETUDE_URL: it needs no database, and the one it would find is not there.
    """
    with started(tmp_path) as machine:
        nowhere = f"sqlite:///{tmp_path / 'no' / 'such' / 'directory' / 'store.db'}"
        machine.worker("packing", pack="auto")
        machine.worker("remote", ETUDE_URL=machine.settings.url, ETUDE_DATABASE_URL=nowhere)
        study = machine.client.submit(
            name="forty", task="digits-noisy", trials=40, horizon={"epochs": 6}, confirmation={"seeds": 2}
        )
        machine.until(lambda: study.view().counts.ended >= 5)
        add_foreign_trial(machine, "forty")
        answer = study.wait(progress=False, timeout=120)
        view = study.view()
        ours = {trial.number: trial for trial in study.trials()}
        theirs = optuna.load_study(study_name="forty", storage=machine.settings.store_url)

    assert answer.status == "final"
    assert view.counts.complete + view.counts.pruned + view.counts.failed == 40
    assert (view.counts.proposed, view.counts.leased, view.counts.stopped, view.counts.foreign) == (0, 0, 0, 1)
    own = {number: trial for number, trial in ours.items() if trial.origin != "foreign"}
    assert len(own) == 40
    assert {trial.worker for trial in own.values()} == {"packing", "remote"}
    assert sorted(ours) == [trial.number for trial in theirs.trials] == list(range(41))
    for number, trial in own.items():
        assert_same_row(trial, theirs.trials[number])
    assert view.best is not None
    assert (view.best.trial, view.best.value) == (theirs.best_trial.number, theirs.best_value)
