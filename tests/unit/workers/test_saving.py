"""The loop with checkpoints: a trial that was given back goes on elsewhere as if it had never stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from store import Store
from tests.engines import chosen
from tests.small_task import CANDIDATE, fresh
from tests.studies import run_study
from tests.wire import QUICK, Wire, propose, trials, work
from workers.checkpoints import Checkpoints
from workers.timing import Stop


def names(folder: Path) -> list[str]:
    """The files there."""
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def stop_after(stop: Stop, batches: int) -> tuple[Any, list[int]]:
    """A task that asks for a stop at its nth batch, and the steps it has made batches for."""
    task, steps = fresh(), []

    def ask(step: int) -> None:
        steps.append(step)
        if len(steps) == batches:
            stop.ask()

    task.on_batch = ask
    return task, steps


def train_on(wire: Wire, **options: Any) -> list[int]:
    """Work until all is done; return the steps that were made."""
    task, steps = fresh(), []
    task.on_batch = steps.append
    work(wire, task, **options)
    return steps


@pytest.mark.parametrize("size", [1, 3])
def test_a_trial_given_back_goes_on_where_it_stood(store: Store, wire: Wire, tmp_path: Path, size: int) -> None:
    """Stopped in mid-epoch, every trial of the worker goes on at that step, and ends with the value of one never
    stopped; then nothing of it is left in the place for checkpoints."""
    propose(store, count=size + 1)
    place, stop = tmp_path / "checkpoints", Stop()
    task, _ = stop_after(stop, 37 * size)
    work(wire, task, stop=stop, choose=chosen(size), checkpoints=Checkpoints(str(place)))
    saved = names(place)

    steps = train_on(Wire(wire.verbs), choose=chosen(size), checkpoints=Checkpoints(str(place)))

    ended = trials(store)
    assert len(saved) == size
    assert len(steps) == 100 * (size + 1) - 37 * size
    assert [trial.state for trial in ended] == ["complete"] * (size + 1)
    assert len({trial.value for trial in ended}) == 1
    assert names(place) == []


def test_reports_made_before_a_stop_are_not_lost(store: Store, wire: Wire, tmp_path: Path) -> None:
    """Whoever goes on does not make them again, so they are sent with the checkpoint, before the release."""
    propose(store)
    stop = Stop()
    task, _ = stop_after(stop, 37)

    work(wire, task, stop=stop, checkpoints=Checkpoints(str(tmp_path)))

    (sent,) = wire.requests("report")
    assert [report.step for report in sent.items[0].reports] == [10, 20, 30]
    assert sent.items[0].checkpoint is not None


def test_trials_are_saved_at_rungs(store: Store, wire: Wire, tmp_path: Path) -> None:
    """At a rung the report names the file; of those only the latest is kept, and none once the trial is over."""
    run_study(store, pruner={"rungs": [0.1, 0.3]})
    propose(store, count=2)
    seen: list[list[str]] = []
    wire.listener = lambda verb, request: (
        seen.append(names(tmp_path / "saved")) if verb in ("report", "finish") else None
    )

    work(wire, choose=chosen(2), checkpoints=Checkpoints(str(tmp_path / "saved"), seconds=0))

    told = [[item.checkpoint for item in request.items] for request in wire.requests("report")]
    assert sorted(told[0]) == seen[0]
    assert [len(each) for each in seen] == [2, 4, 2]
    assert sorted(told[1]) == seen[2]
    assert names(tmp_path / "saved") == []


def test_a_pruned_trial_leaves_no_file(store: Store, wire: Wire, tmp_path: Path) -> None:
    """What was saved at the rung that prunes goes at once."""
    run_study(store, pruner={"kind": "median", "rungs": [0.2], "startup_trials": 1})
    propose(store)
    propose(store, first=1, candidate=CANDIDATE.with_lr(1e-6))

    work(wire, checkpoints=Checkpoints(str(tmp_path / "saved"), seconds=0))

    assert [trial.state for trial in trials(store)] == ["complete", "pruned"]
    assert names(tmp_path / "saved") == []


def test_a_state_that_cannot_be_had_begins_again(store: Store, wire: Wire, tmp_path: Path) -> None:
    """A worker that looks in another place trains from step 0, and says so."""
    propose(store)
    stop = Stop()
    task, _ = stop_after(stop, 37)
    work(wire, task, stop=stop, checkpoints=Checkpoints(str(tmp_path / "here")))
    elsewhere = Wire(wire.verbs)

    steps = train_on(elsewhere, timing=QUICK, checkpoints=Checkpoints(str(tmp_path / "there")))

    assert len(steps) == 100
    assert elsewhere.requests("finish")[0].items[0].resumed_step == 0
    assert trials(store)[0].state == "complete"
