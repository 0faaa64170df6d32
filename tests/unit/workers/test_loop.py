"""The loop against a real store: what it claims it ends, gives back or drops."""

from __future__ import annotations

from typing import Any

import pytest

from etude.torch import build
from search_spaces.work import ReportRequest, VerbAnswer
from store import Store
from store.studies import begin_confirmation, change_state
from store.workers import list_workers
from tests.small_task import CANDIDATE, DIVERGING, SmallTask, fresh
from tests.studies import run_study
from tests.wire import Wire, propose, trials, work
from workers import training
from workers.timing import Stop, Timing


def test_every_trial_is_trained_and_finished(store: Store, wire: Wire) -> None:
    """Each proposal ends complete with its value, its further metrics and all of its steps; then the worker drains."""
    propose(store, count=3)

    work(wire)

    ended = trials(store)
    assert [(trial.state, trial.steps_done) for trial in ended] == [("complete", 100)] * 3
    assert len({trial.value for trial in ended}) == 1
    assert set(ended[0].metrics) == {"validation_weight"}
    assert all(trial.worker_seconds > 0 for trial in ended)


def test_the_offer_is_announced_first(store: Store, wire: Wire) -> None:
    """The worker says what it offers before it claims, by the same version that it claims with."""
    work(wire)

    announced = list_workers(store)[0]
    assert (announced.worker, announced.tasks[0].name, announced.slots) == ("w1", "nothing", 1)
    assert wire.calls[0][0] == "announce"
    assert wire.requests("claim")[0].tasks[0].version == announced.tasks[0].version


def test_reports_go_out_at_rungs_and_the_rest_with_the_finish(store: Store, wire: Wire) -> None:
    """One verb a rung while nothing waits too long; what came since the last rung goes with the finish."""
    run_study(store, pruner={"fidelity": "truncated"})
    propose(store)

    work(wire)

    sent = [[report.step for report in request.items[0].reports] for request in wire.requests("report")]
    assert sent == [[10], [20], [30], [40, 50]]
    assert [report.step for report in wire.requests("finish")[0].items[0].reports] == [60, 70, 80, 90, 100]
    assert set(trials(store)[0].rungs) == {10, 20, 30, 50}


def test_reports_wait_no_longer_than_they_may(store: Store, wire: Wire) -> None:
    """Without rungs, a report that has waited its time takes the others along."""
    propose(store)

    work(wire, timing=Timing(report=0.0, drain=0.0))

    assert len(wire.requests("report")) == 9


def test_a_worker_that_ends_closes_its_tasks(store: Store, wire: Wire) -> None:
    """What a task has open is let go when nobody trains it any more."""
    propose(store, count=2)
    closed = []

    class Closed(fresh()):  # type: ignore[misc]
        def close(self) -> None:
            closed.append(self)

    work(wire, Closed)

    assert len(closed) == 1


def test_a_diverged_trial_fails_with_that_reason(store: Store, wire: Wire) -> None:
    """A loss that overflows ends its trial as failed, `diverged`, and the next one is trained."""
    propose(store, candidate=DIVERGING)
    propose(store, first=1)

    work(wire)

    diverged, complete = trials(store)
    assert (diverged.state, diverged.error, diverged.steps_done) == ("failed", "diverged", 10)
    assert complete.state == "complete"


def test_an_exception_in_the_task_is_recorded(store: Store, wire: Wire) -> None:
    """What a task raises ends its trial with the traceback's end, and the worker goes on."""
    propose(store, count=2)
    task, raised = fresh(), []

    def fall(step: int) -> None:
        if step == 13 and not raised:
            raised.append(step)
            raise LookupError("x" * 5000 + " the pump is stuck")

    task.on_batch = fall
    work(wire, task)

    failed, complete = trials(store)
    assert (failed.state, failed.steps_done) == ("failed", 13)
    assert failed.error is not None
    assert failed.error.endswith("the pump is stuck\n")
    assert len(failed.error) == 4000
    assert complete.state == "complete"


def test_a_traceback_is_text_that_every_database_takes(store: Store, wire: Wire) -> None:
    """NUL and half surrogates in what a task raises are written as escapes."""
    propose(store, count=1)
    task = fresh()

    def fall(step: int) -> None:
        raise LookupError("the pump \0 is \ud800 stuck")

    task.on_batch = fall
    work(wire, task)

    (failed,) = trials(store)
    assert failed.error is not None
    assert failed.error.endswith("the pump \\x00 is \\ud800 stuck\n")


def test_params_that_do_not_fit_fail_the_trial(store: Store, wire: Wire) -> None:
    """A task that refuses the study's parameters fails the trial by the field's name."""
    run_study(store, task={"name": "nothing", "params": {"depth": 3}})
    propose(store)

    work(wire)

    assert "task.params.depth" in str(trials(store)[0].error)


def test_a_pruned_trial_ends_there(store: Store, wire: Wire) -> None:
    """Told to prune, the worker leaves the trial at once, sends nothing more of it and takes the next."""
    run_study(store, pruner={"kind": "median", "rungs": [0.2, 0.5], "startup_trials": 3, "fidelity": "truncated"})
    propose(store, count=3, candidate=CANDIDATE.with_lr(3))
    propose(store, first=3, candidate=CANDIDATE.with_lr(1e-6))
    propose(store, first=4)

    work(wire)

    ended = trials(store)
    assert [trial.state for trial in ended] == ["complete", "complete", "complete", "pruned", "complete"]
    assert ended[3].steps_done == 20
    assert len(wire.requests("finish")) == 4


def test_a_stopped_study_stops_its_trial(store: Store, wire: Wire) -> None:
    """When the study is stopped, the next report's answer ends the training."""
    run_study(store)
    propose(store)
    task, steps = fresh(), []

    def stop_study(step: int) -> None:
        steps.append(step)
        if step == 15:
            change_state(store, "mine", "stopped")

    task.on_batch = stop_study
    work(wire, task)

    assert steps[-1] == 19
    assert not wire.requests("finish")


def test_an_unknown_directive_means_continue(store: Store, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directive of a newer service changes nothing."""
    run_study(store, pruner={"kind": "none"})
    propose(store)
    answered = wire.verbs.report

    def directing(request: ReportRequest) -> VerbAnswer:
        items = [item.model_copy(update={"directive": "sing"}) for item in answered(request).items]
        return VerbAnswer(items=items)

    monkeypatch.setattr(wire.verbs, "report", directing)
    work(wire, timing=Timing(report=0.0, drain=0.0))

    assert trials(store)[0].state == "complete"


def test_a_lost_lease_drops_the_trial(store: Store, wire: Wire) -> None:
    """When another worker holds the trial, this one leaves it to it and says nothing more of it."""
    run_study(store)
    propose(store)
    task = fresh()

    def expire(step: int) -> None:
        if step == 15:
            with store.begin() as connection:
                connection.exec_driver_sql("UPDATE etude_proposals SET lease = 'another'")

    task.on_batch = expire
    work(wire, task)

    assert trials(store)[0].state == "leased"
    assert not wire.requests("finish")
    assert not wire.requests("release")


def test_asked_to_stop_the_worker_gives_its_trial_back(store: Store, wire: Wire) -> None:
    """A stop between two steps releases the trial: proposed again, no attempt counted, nothing finished."""
    propose(store, count=2)
    stop, task, steps = Stop(), fresh(), []

    def ask(step: int) -> None:
        steps.append(step)
        if step == 15:
            stop.ask()

    task.on_batch = ask
    work(wire, task, stop=stop)

    assert steps[-1] == 15
    assert [trial.state for trial in trials(store)] == ["proposed", "proposed"]
    assert len(wire.requests("claim")) == len(wire.requests("release")) == 1


def test_only_a_trial_for_it_measures_the_test_split(store: Store, wire: Wire) -> None:
    """Search, tuning and confirmation never ask for the test split; a trial `test:` does once and sends its scores."""
    task = fresh()
    propose(store)
    work(wire, task)
    searched = list(task.evaluated)

    begin_confirmation(store, "mine")
    propose(store, purpose="tuning", params=None, origin="baseline:sgd-cosine")
    propose(store, purpose="confirmation", params=None, origin="confirmation:candidate-1")
    propose(store, purpose="confirmation", params=None, origin="test:candidate-1", first=1)
    work(wire, task)

    assert set(searched) == {"validation"}
    assert task.evaluated.count("test") == 1
    tested = [trial.origin for trial in trials(store) if "test_loss" in trial.metrics]
    assert tested == ["test:candidate-1"]


def test_a_trial_may_have_a_horizon_of_its_own(store: Store, wire: Wire) -> None:
    """A confirmation's training redrawn for fewer updates makes just these, and its rungs are those below."""
    propose(store)
    begin_confirmation(store, "mine")
    propose(store, purpose="confirmation", params=None, origin="savings:reference", horizon_steps=10)

    work(wire, fresh())

    trial = next(trial for trial in trials(store) if trial.origin == "savings:reference")
    assert (trial.state, trial.horizon_steps, trial.steps_done) == ("complete", 10, 10)
    assert all(rung < 10 for rung in trial.rungs)


def test_a_test_split_that_cannot_be_read_does_not_hurt_the_search(store: Store, wire: Wire) -> None:
    """A search completes although the test split raises on the slightest touch."""

    class Sealed(SmallTask):
        def evaluate(self, model: Any, split: Any) -> dict[str, float]:
            if split == "test":
                raise PermissionError("sealed")
            return super().evaluate(model, split)

    propose(store, count=2)

    work(wire, Sealed)

    assert [trial.state for trial in trials(store)] == ["complete", "complete"]


def test_a_task_whose_data_are_missing_is_offered_and_not_claimed(store: Store, wire: Wire) -> None:
    """The reason is announced; no trial of that task is asked for."""

    class Away(SmallTask):
        @classmethod
        def available(cls) -> str | None:
            return "no data here"

    propose(store)

    work(wire, Away)

    assert list_workers(store)[0].tasks[0].reason == "no data here"
    assert all(request.tasks == [] for request in wire.requests("claim"))
    assert trials(store)[0].state == "proposed"


def test_a_training_of_another_length_fails_with_both_counts(
    store: Store, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task that makes updates of its own ends its trial as failed, `horizon_mismatch`."""
    task, optimizers = fresh(), []

    def build_and_keep(*args: Any, **options: Any) -> Any:
        optimizer, scheduler = build(*args, **options)
        optimizers.append(optimizer)
        return optimizer, scheduler

    monkeypatch.setattr(training, "build", build_and_keep)
    task.on_batch = lambda step: optimizers[-1].step() if step == 50 else None
    propose(store)
    work(wire, task)

    failed = trials(store)[0]
    assert (failed.state, failed.error) == ("failed", "horizon_mismatch: 101 updates instead of 100")
    assert failed.steps_done == 101
