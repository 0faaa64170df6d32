"""Rungs that train beside a trial, and a worker killed in the midst: the trial ends as one that nothing happened to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from etude import Study
from search_spaces.results import TrialView
from tests.machine import Machine, started

LEASE = {"ETUDE_LEASE_SECONDS": "3"}
EPOCHS = 200
SMALL_CONFIRMATION = {"top": 1, "seeds": 2, "baselines": ["sgd-cosine"]}
RUNGS = [0.1, 0.3, 0.5, 0.7, 0.9]


@pytest.mark.parametrize("fidelity", ["cooldown", "rescaled"])
def test_a_trial_of_a_killed_worker_is_that_of_one_that_lived(tmp_path: Path, fidelity: str) -> None:
    """kill -9 after a rung: the next worker settles the rungs that are left, and every value is what it would be."""
    with started(tmp_path, **LEASE) as machine:
        whole, killed = (_submitted(machine, name, fidelity) for name in ("whole", "killed"))
        workers = {name: machine.worker(name, **LEASE, ETUDE_CHECKPOINTS=str(tmp_path / "kept")) for name in "ab"}
        held = machine.until(lambda: _within(killed), 180)
        machine.parts.kill(workers[str(held.worker)])
        machine.until(lambda: all(study.view().state != "running" for study in (whole, killed)), 240)
        ended = [_seen(machine, study) for study in (whole, killed)]
        again = machine.client.trial("killed", held.number)

    assert ended[0] == ended[1]
    assert again.attempts >= 1
    assert again.worker != held.worker


def _submitted(machine: Machine, name: str, fidelity: str) -> Study:
    return machine.client.submit(
        name=name, task="digits-noisy", trials=1, horizon={"epochs": EPOCHS}, confirmation=SMALL_CONFIRMATION,
        pruner={"fidelity": fidelity, "rungs": RUNGS},
    )  # fmt: skip


def _within(study: Study) -> TrialView | None:
    """The trial in training, once it has settled a rung and is not near its end."""
    trials = [trial for trial in study.trials(state="leased") if 0 < len(trial.rungs) < len(RUNGS) - 1]
    return trials[0] if trials else None


def _seen(machine: Machine, study: Study) -> Any:
    """Value, rungs and curve of the study's one trial."""
    trial = machine.client.trial(study.name, 0)
    return trial.state, trial.value, trial.rungs, [(p.kind, p.step, p.value) for p in trial.curve or []]
