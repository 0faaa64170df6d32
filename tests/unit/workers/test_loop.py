"""The loop against a real store: what it claims it ends, gives back or drops, through outages too."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from search_spaces.problems import InvalidSpec, StoreUnavailable
from search_spaces.work import (
    Announcement,
    ClaimAnswer,
    ClaimRequest,
    FinishRequest,
    ReleaseRequest,
    RenewRequest,
    ReportRequest,
    VerbAnswer,
)
from store import Store, open_store
from store.proposals import Past, history
from store.studies import begin_confirmation, change_state, own
from store.verbs import SqlVerbs
from store.workers import list_workers
from tests.small_task import CANDIDATE, DIVERGING, SmallTask, fresh
from tests.studies import add_proposals, run_study
from workers.loop import Worker
from workers.timing import Stop, Timing

QUICK = Timing(report=60.0, first_idle=0.01, longest_idle=0.02, first_retry=0.01, longest_retry=0.05, drain=0.0)
"""Ends at the first claim that finds nothing; reports at rungs only."""


@dataclass
class Wire:
    """The verbs on a real store, over a wire that can be cut and listened to."""

    verbs: SqlVerbs
    calls: list[tuple[str, Any]] = field(default_factory=list)
    cut: Callable[[str, int], bool] = lambda verb, nth: False
    """Whether the nth call of a verb (from 1) finds the store away."""
    lose_answers: bool = False
    """Whether a cut call has reached the store before it failed."""
    listener: Callable[[str, Any], None] = lambda verb, request: None

    def announce(self, worker: str, announcement: Announcement) -> None:
        self._through("announce", announcement, lambda: self.verbs.announce(worker, announcement))

    def claim(self, request: ClaimRequest) -> ClaimAnswer:
        return self._through("claim", request, lambda: self.verbs.claim(request))

    def renew(self, request: RenewRequest) -> VerbAnswer:
        return self._through("renew", request, lambda: self.verbs.renew(request))

    def report(self, request: ReportRequest) -> VerbAnswer:
        return self._through("report", request, lambda: self.verbs.report(request))

    def finish(self, request: FinishRequest) -> VerbAnswer:
        return self._through("finish", request, lambda: self.verbs.finish(request))

    def release(self, request: ReleaseRequest) -> VerbAnswer:
        return self._through("release", request, lambda: self.verbs.release(request))

    def close(self) -> None:
        """Stay open: the test reads the store."""

    def _through(self, verb: str, request: Any, call: Callable[[], Any]) -> Any:
        self.calls.append((verb, request))
        self.listener(verb, request)
        if not self.cut(verb, len(self.requests(verb))):
            return call()
        if self.lose_answers:
            call()
        raise StoreUnavailable("cut")

    def requests(self, verb: str) -> list[Any]:
        """What was asked of a verb, in order."""
        return [request for name, request in self.calls if name == verb]


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    """An embedded store."""
    opened = open_store(sqlite_url)
    yield opened
    opened.close()


@pytest.fixture
def wire(store: Store) -> Wire:
    """The verbs on that store."""
    return Wire(SqlVerbs(store))


def propose(store: Store, count: int = 1, **fields: Any) -> None:
    """Run a study without pruning, unless it is there, and propose the same candidate `count` times."""
    if not own(store, "tests", 60):
        run_study(store, pruner={"kind": "none"})
    add_proposals(store, count=count, **({"candidate": CANDIDATE, "seed": 1} | fields))


def trials(store: Store) -> list[Past]:
    """What has become of the proposals."""
    return history(store, own(store, "tests", 60)[0].study_id)


def work(wire: Wire, task: type[SmallTask] | None = None, **options: Any) -> Worker:
    """Work until there is nothing to do."""
    worker = Worker("w1", wire, {"nothing": task or fresh()}, **({"timing": QUICK} | options))
    worker.work()
    return worker


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
    run_study(store)
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


def test_params_that_do_not_fit_fail_the_trial(store: Store, wire: Wire) -> None:
    """A task that refuses the study's parameters fails the trial by the field's name."""
    run_study(store, task={"name": "nothing", "params": {"depth": 3}})
    propose(store)

    work(wire)

    assert "task.params.depth" in str(trials(store)[0].error)


def test_a_pruned_trial_ends_there(store: Store, wire: Wire) -> None:
    """Told to prune, the worker leaves the trial at once, sends nothing more of it and takes the next."""
    run_study(store, pruner={"kind": "median", "rungs": [0.2, 0.5], "startup_trials": 3})
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


def test_only_a_confirmation_measures_the_test_split(store: Store, wire: Wire) -> None:
    """Search and tuning never ask for the test split; a confirmation does once, at its end, and sends what it gave."""
    task = fresh()
    propose(store)
    work(wire, task)
    searched = list(task.evaluated)

    begin_confirmation(store, "mine")
    propose(store, purpose="tuning", params=None, origin="baseline:sgd-cosine")
    propose(store, purpose="confirmation", params=None, origin="confirmation:candidate-1")
    work(wire, task)

    assert set(searched) == {"validation"}
    assert task.evaluated.count("test") == 1
    by_purpose = {trial.purpose: trial for trial in trials(store)}
    assert "test_loss" in by_purpose["confirmation"].metrics
    assert not any(name.startswith("test") for name in by_purpose["tuning"].metrics)


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


def test_training_goes_on_through_an_outage(store: Store, wire: Wire) -> None:
    """While the store is away reports are kept and the training goes on; then all of them arrive, none twice."""
    run_study(store)
    propose(store)
    task, during = fresh(), []
    wire.cut = lambda verb, nth: verb == "report" and nth <= 2
    task.on_batch = lambda step: during.append((step, len(wire.requests("report"))))

    work(wire, task, timing=Timing(report=60.0, first_retry=0.0, longest_retry=0.0, drain=0.0))

    sent = [[report.step for report in request.items[0].reports] for request in wire.requests("report")]
    assert sent[:3] == [[10], [10, 20], [10, 20, 30]]
    assert trials(store)[0].state == "complete"
    assert set(trials(store)[0].rungs) == {10, 20, 30, 50}
    assert len(during) == 100


@pytest.mark.parametrize("lost", [False, True], ids=["never-arrived", "answer-lost"])
def test_a_finish_is_repeated_until_it_is_answered(store: Store, wire: Wire, lost: bool) -> None:
    """A finish that fails, or whose answer is lost, is sent again with all that it carries."""
    propose(store)
    wire.cut, wire.lose_answers = (lambda verb, nth: verb == "finish" and nth <= 3), lost

    work(wire)

    assert len(wire.requests("finish")) == 4
    assert trials(store)[0].state == "complete"
    assert len(wire.requests("finish")[3].items[0].reports) == 10


def test_a_claim_whose_answer_is_lost_is_repeated(store: Store, wire: Wire) -> None:
    """The same claim id is sent until there is an answer, so that no leased trial is forgotten; then a fresh one."""
    propose(store, count=2)
    wire.cut, wire.lose_answers = (lambda verb, nth: verb == "claim" and nth <= 2), True

    work(wire, timing=Timing(first_retry=0.01, first_idle=0.01, drain=0.5))

    ids = [request.claim_id for request in wire.requests("claim")]
    assert ids[0] == ids[1] == ids[2]
    assert len(set(ids)) == len(ids) - 2
    assert [trial.state for trial in trials(store)] == ["complete", "complete"]


def test_a_worker_waits_for_the_store_at_its_start(store: Store, wire: Wire) -> None:
    """Announcing is tried until the store answers; an outage is one event, and so is its end."""
    propose(store)
    wire.cut = lambda verb, nth: verb == "announce" and nth <= 3

    work(wire)

    assert trials(store)[0].state == "complete"


def test_an_outage_is_two_lines_of_log(store: Store, wire: Wire, caplog: pytest.LogCaptureFixture) -> None:
    """However many calls fail, the log says that the store went and that it is back."""
    wire.cut = lambda verb, nth: verb == "announce" and nth <= 3

    with caplog.at_level(logging.INFO, logger="workers"):
        work(wire)

    events = [record.getMessage().split()[0] for record in caplog.records]
    assert events == ["event=started", "event=store_unavailable", "event=store_is_back", "event=stopped"]


def test_a_stopping_worker_does_not_wait_for_ever(store: Store, wire: Wire) -> None:
    """With the store away, giving back is tried for the grace period only."""
    propose(store)
    stop, task = Stop(grace_seconds=0.2), fresh()
    task.on_batch = lambda step: stop.ask()
    wire.cut = lambda verb, nth: verb == "release"

    before = time.monotonic()
    work(wire, task, stop=stop)

    assert time.monotonic() - before < 5
    assert len(wire.requests("release")) > 1


def test_a_refusal_ends_the_worker(store: Store, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    """What repeating cannot cure is raised, and the trial is not blamed for it."""
    run_study(store)
    propose(store)

    def refuse(request: ReportRequest) -> VerbAnswer:
        raise InvalidSpec("not like this", field="items")

    monkeypatch.setattr(wire.verbs, "report", refuse)

    with pytest.raises(InvalidSpec):
        work(wire)

    assert trials(store)[0].state == "leased"


def test_the_lease_is_renewed_while_a_step_takes_long(sqlite_url: str) -> None:
    """A training that reports nothing keeps its trial by renewals from the background."""
    opened = open_store(sqlite_url, lease_seconds=0.6)
    wire, task, renewed = Wire(SqlVerbs(opened)), fresh(), []
    wire.listener = lambda verb, request: renewed.append(verb) if verb == "renew" else None
    propose(opened)

    def wait_for_renewals(step: int) -> None:
        deadline = time.monotonic() + 20
        while step == 5 and len(renewed) < 4 and time.monotonic() < deadline:
            time.sleep(0.01)

    task.on_batch = wait_for_renewals
    work(wire, task, timing=Timing(report=60.0, lease=0.6, drain=0.0))

    assert len(renewed) >= 4
    assert trials(opened)[0].state == "complete"
    opened.close()


def test_a_renewal_that_finds_the_lease_lost_ends_the_training(sqlite_url: str) -> None:
    """The background's answer is looked at between two steps."""
    opened = open_store(sqlite_url, lease_seconds=0.3)
    wire, task, steps = Wire(SqlVerbs(opened)), fresh(), []
    propose(opened)

    def lose(step: int) -> None:
        steps.append(step)
        if step == 5:
            with opened.begin() as connection:
                connection.exec_driver_sql("UPDATE etude_proposals SET lease = 'another'")
            deadline = time.monotonic() + 20
            while not wire.requests("renew") and time.monotonic() < deadline:
                time.sleep(0.01)
            time.sleep(0.05)

    task.on_batch = lose
    work(wire, task, timing=Timing(report=60.0, lease=0.3, drain=0.0))

    assert steps[-1] < 100
    assert not wire.requests("finish")
    opened.close()


def test_the_heartbeat_goes_on_beside_the_training(store: Store, wire: Wire) -> None:
    """A worker in a long step is still announced."""
    propose(store)
    task = fresh()

    def wait_for_heartbeats(step: int) -> None:
        deadline = time.monotonic() + 20
        while step == 5 and len(wire.requests("announce")) < 4 and time.monotonic() < deadline:
            time.sleep(0.01)

    task.on_batch = wait_for_heartbeats
    work(wire, task, timing=Timing(heartbeat=0.02, drain=0.0))

    assert len(wire.requests("announce")) >= 4
    assert trials(store)[0].state == "complete"


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
