"""The loop through outages, refusals and lost leases: nothing is lost, nothing is done twice."""

from __future__ import annotations

import logging
import time

import pytest

from search_spaces.problems import InvalidSpec
from search_spaces.work import ReportRequest, VerbAnswer
from store import Store, open_store
from store.verbs import SqlVerbs
from tests.small_task import fresh
from tests.studies import run_study
from tests.wire import Wire, propose, trials, work
from workers.timing import Stop, Timing


def test_training_goes_on_through_an_outage(store: Store, wire: Wire) -> None:
    """While the store is away reports are kept and the training goes on; then all of them arrive, none twice."""
    run_study(store, pruner={"fidelity": "truncated"})
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
    assert events == ["started", "store_unavailable", "store_is_back", "stopped"]


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
