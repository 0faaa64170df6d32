"""The loop with rungs that train beside a trial: told in one report, counted, resumed after a death as after a stop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from store import Store
from store.trials import get_trial
from tests.engines import chosen
from tests.small_task import CANDIDATE, fresh
from tests.studies import run_study
from tests.wire import Wire, propose, trials, work
from workers.checkpoints import Checkpoints
from workers.timing import Stop

RUNGS = [0.2, 0.5]
WITHIN = [("cooldown", 23, 1), ("cooldown", 52, 2), ("rescaled", 40, 2)]
"""Batches after which a trial of a pack of `size` is in the midst of what a rung asks for."""


class Killed(BaseException):
    """What ends a process without a word to anybody."""


def study_of(store: Store, fidelity: str, **pruner: Any) -> None:
    run_study(store, pruner={"rungs": RUNGS, "fidelity": fidelity, "cooldown": 0.07, **pruner})


def undisturbed(wire: Wire, store: Store, fidelity: str) -> Any:
    """Value, rungs and curve of a trial that nothing happened to; and the trial again, to be trained once more."""
    propose(store)
    work(wire)
    propose(store, first=1)
    return seen(store, 0)


def seen(store: Store, number: int) -> Any:
    view = get_trial(store, "mine", number)
    return view.state, view.value, view.rungs, [(p.kind, p.step, p.value) for p in view.curve or []]


def test_a_branch_and_its_rung_are_one_report(store: Store, wire: Wire) -> None:
    """The raw value waits for the branch's: were it sent before, it would be the one that is compared."""
    study_of(store, "cooldown")
    propose(store)

    work(wire)

    at_rungs = [
        [(report.step, report.kind) for report in request.items[0].reports if report.step in (20, 50)]
        for request in wire.requests("report")
    ]
    assert at_rungs == [[(20, "raw"), (20, "cooldown")], [(50, "raw"), (50, "cooldown")]]
    assert [request.items[0].extra_steps for request in wire.requests("report")] == [7, 7]


def test_a_trial_that_falls_behind_by_its_shorter_schedule_is_never_begun(store: Store, wire: Wire) -> None:
    """The first rung ends it: what it has cost is that one training."""
    study_of(store, "rescaled", kind="median", startup_trials=2)
    propose(store, count=2)
    propose(store, first=2, candidate=CANDIDATE.with_lr(1e-6))

    work(wire)

    assert [(trial.state, trial.steps_done, trial.extra_steps) for trial in trials(store)] == [
        ("complete", 100, 70), ("complete", 100, 70), ("pruned", 0, 20),
    ]  # fmt: skip


@pytest.mark.parametrize(("fidelity", "batches", "size"), WITHIN)
def test_stopped_within_a_branch_a_trial_goes_on(
    store: Store, wire: Wire, tmp_path: Path, fidelity: str, batches: int, size: int
) -> None:
    """Asked to stop in the midst of what a rung asks for, the trial ends as if nothing had happened."""
    study_of(store, fidelity)
    expected = undisturbed(wire, store, fidelity)
    stop, task, steps = Stop(), fresh(), []

    def ask(step: int) -> None:
        steps.append(step)
        if len(steps) == batches:
            stop.ask()

    task.on_batch = ask
    work(Wire(wire.verbs), task, stop=stop, choose=chosen(size), checkpoints=Checkpoints(str(tmp_path)))
    assert trials(store)[1].state == "proposed"

    work(Wire(wire.verbs), choose=chosen(size), checkpoints=Checkpoints(str(tmp_path)))

    assert seen(store, 1) == expected


@pytest.mark.parametrize(("fidelity", "batches"), [("cooldown", 60), ("rescaled", 85)])
def test_killed_within_a_branch_a_trial_goes_on(
    store: Store, wire: Wire, tmp_path: Path, fidelity: str, batches: int
) -> None:
    """After a death without a word the next worker goes on from what was saved, and settles no rung twice."""
    study_of(store, fidelity)
    expected = undisturbed(wire, store, fidelity)
    task, steps = fresh(), []

    def die(step: int) -> None:
        steps.append(step)
        if len(steps) == batches:
            raise Killed

    task.on_batch = die
    with pytest.raises(Killed):
        work(Wire(wire.verbs), task, checkpoints=Checkpoints(str(tmp_path), seconds=0))
    with store.begin() as connection:
        connection.execute(text("UPDATE etude_proposals SET lease_expires_at = 1.0 WHERE state = 'leased'"))

    again = fresh()
    made: list[int] = []
    again.on_batch = made.append
    work(Wire(wire.verbs), again, checkpoints=Checkpoints(str(tmp_path), seconds=0))

    assert seen(store, 1) == expected
    assert trials(store)[1].state == "complete"
    assert len(made) < (114 if fidelity == "cooldown" else 170)
