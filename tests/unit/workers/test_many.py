"""The loop with many trials in hand: one verb for all of them, and what befalls one befalls no other."""

from __future__ import annotations

import time
from typing import Any

import pytest

from search_spaces.work import ClaimRequest
from store import Store
from store.workers import list_workers
from tests.engines import Clock, SideBySide, chosen
from tests.small_task import CANDIDATE, DIVERGING, fresh
from tests.studies import run_study
from tests.wire import QUICK, Wire, propose, trials, work
from workers.engine import Attempt, Interrupted
from workers.timing import Stop, Timing


def claims(wire: Wire) -> list[tuple[int, str | None]]:
    """Count and study of every claim."""
    return [(request.count, request.study) for request in wire.requests("claim")]


def test_one_verb_speaks_for_all_trials(store: Store, wire: Wire) -> None:
    """Trials that stop together are reported in one request and finished in one."""
    run_study(store, pruner={"rungs": [0.1, 0.5]})
    propose(store, count=4)

    work(wire, choose=chosen(4))

    assert [len(request.items) for request in wire.requests("report")] == [4, 4]
    assert [len(request.items) for request in wire.requests("finish")] == [4]
    assert [(trial.state, trial.steps_done) for trial in trials(store)] == [("complete", 100)] * 4


def test_a_lead_claim_is_followed_by_companions(store: Store, wire: Wire) -> None:
    """The store picks the study of one trial; half of the free places are asked of that study, and so on."""
    propose(store, count=8)

    work(wire, choose=chosen(8))

    assert claims(wire)[:6] == [(1, None), (3, "mine"), (1, None), (1, "mine"), (1, None), (1, None)]
    assert len({request.claim_id for request in wire.requests("claim")}) == len(wire.requests("claim"))


def test_two_studies_share_a_pack_from_the_start(store: Store, wire: Wire) -> None:
    """Of 8 places each of two studies that come together has half."""
    run_study(store, "other", pruner={"kind": "none"})
    run_study(store, "mine", pruner={"kind": "none"})
    for name in ("mine", "other"):
        propose(store, name=name, count=8)

    work(wire, choose=chosen(8))

    first = wire.requests("finish")[0]
    assert sorted(item.study for item in first.items) == ["mine"] * 4 + ["other"] * 4


@pytest.mark.parametrize("lost", [False, True], ids=["never-arrived", "answer-lost"])
@pytest.mark.parametrize("nth", [1, 2], ids=["lead", "companions"])
def test_a_claim_is_repeated_under_its_id(store: Store, wire: Wire, nth: int, lost: bool) -> None:
    """Lead or companions, arrived or not: the same request is sent again, and no leased trial is forgotten."""
    propose(store, count=4)
    wire.cut, wire.lose_answers = (lambda verb, count: verb == "claim" and count == nth), lost

    work(wire, choose=chosen(4), timing=Timing(first_retry=0.01, first_idle=0.01, drain=0.3))

    sent: list[ClaimRequest] = wire.requests("claim")
    assert sent[nth - 1] == sent[nth]
    assert [trial.state for trial in trials(store)] == ["complete"] * 4


def test_the_place_of_a_pruned_trial_goes_to_a_new_one(store: Store, wire: Wire) -> None:
    """A pack goes on with a fresh trial beside the old ones, each at its own step."""
    run_study(store, pruner={"kind": "median", "rungs": [0.2], "startup_trials": 2})
    propose(store, count=2)
    propose(store, first=2, candidate=CANDIDATE.with_lr(1e-6))
    propose(store, first=3)

    work(wire, choose=chosen(3))

    ended = trials(store)
    assert [trial.state for trial in ended] == ["complete", "complete", "pruned", "complete"]
    assert [trial.steps_done for trial in ended] == [100, 100, 20, 100]
    assert [{item.number for item in request.items} for request in wire.requests("finish")] == [{0, 1}, {3}]


def test_a_failing_trial_fails_alone(store: Store, wire: Wire) -> None:
    """Of a pack the diverged trial is finished as failed at once; the others go on."""
    propose(store, count=1)
    propose(store, first=1, candidate=DIVERGING)
    propose(store, first=2)

    work(wire, choose=chosen(3))

    assert [(trial.state, trial.steps_done) for trial in trials(store)] == [
        ("complete", 100), ("failed", 10), ("complete", 100),
    ]  # fmt: skip


def test_a_rejected_item_drops_that_trial_only(store: Store, wire: Wire) -> None:
    """One lease of the pack is another's: nothing more is said of that trial, and the others are finished."""
    run_study(store)
    propose(store, count=3)
    task = fresh()

    def expire(step: int) -> None:
        if step == 15:
            with store.begin() as connection:
                connection.exec_driver_sql("UPDATE etude_proposals SET lease = 'another' WHERE number = 1")

    task.on_batch = expire
    work(wire, task, choose=chosen(3))

    assert [trial.state for trial in trials(store)] == ["complete", "leased", "complete"]
    assert [{item.number for item in request.items} for request in wire.requests("finish")] == [{0, 2}]


def test_new_trials_enter_a_pack_in_training(store: Store, wire: Wire) -> None:
    """While places are free the worker asks again, between two steps and not only at stops."""
    propose(store)
    task, seen = fresh(), []

    def propose_later(step: int) -> None:
        seen.append(step)
        if len(seen) == 5:
            propose(store, first=1)
        if len(seen) == 8:
            time.sleep(0.06)

    task.on_batch = propose_later
    work(wire, task, choose=chosen(2), timing=Timing(report=60.0, ask=0.025, first_idle=0.01, drain=0.0))

    assert seen.index(0, 1) <= 9
    assert [trial.state for trial in trials(store)] == ["complete", "complete"]


def test_free_places_do_not_flood_the_store(store: Store, wire: Wire) -> None:
    """A pack that is not full asks once when it is opened and once when trials have ended, not at every stop."""
    propose(store, count=2)

    work(wire, choose=chosen(8), timing=Timing(report=0.0, ask=60.0, drain=0.0))

    assert claims(wire) == [(1, None), (3, "mine"), (1, None), (1, None)]
    assert len(wire.requests("report")) == 9


def test_worker_seconds_add_up_to_the_workers_time(store: Store, wire: Wire) -> None:
    """A pack's time is shared by steps: the sum over its trials is the time that passed, also for a late comer."""
    propose(store, count=3)
    clock, task, calls = Clock(), fresh(), []

    def pass_time(step: int) -> None:
        calls.append(step)
        clock.now += 0.5
        if len(calls) == 50:
            propose(store, first=3)

    task.on_batch = pass_time
    work(wire, task, choose=chosen(4), clock=clock, timing=Timing(ask=0.02, first_idle=0.01, drain=0.0))

    spent = [trial.worker_seconds for trial in trials(store)]
    assert len(calls) == 400
    assert sum(spent) == pytest.approx(200.0)
    assert spent == pytest.approx([50.0] * 4, rel=0.35)


def test_reports_of_all_trials_survive_an_outage(store: Store, wire: Wire) -> None:
    """While the store is away every trial's reports are kept; then all arrive, none twice."""
    run_study(store, pruner={"fidelity": "truncated"})
    propose(store, count=3)
    wire.cut = lambda verb, nth: verb == "report" and nth <= 2

    work(wire, choose=chosen(3), timing=Timing(report=60.0, ask=60.0, first_retry=0.0, longest_retry=0.0, drain=0.0))

    sent = [[[report.step for report in item.reports] for item in request.items] for request in wire.requests("report")]
    assert sent[:3] == [[[10]] * 3, [[10, 20]] * 3, [[10, 20, 30]] * 3]
    assert [set(trial.rungs) for trial in trials(store)] == [{10, 20, 30, 50}] * 3


def test_a_finish_that_waits_holds_up_nobody(store: Store, wire: Wire) -> None:
    """While a finish cannot be delivered the other trials are trained on; in the end it arrives with its reports."""
    propose(store)
    task, calls, finishes = fresh(), [], []
    wire.listener = lambda verb, request: finishes.append(len(calls)) if verb == "finish" else None
    wire.cut = lambda verb, nth: verb == "finish" and nth <= 3

    def propose_second(step: int) -> None:
        calls.append(step)
        if len(calls) == 30:
            propose(store, first=1)

    task.on_batch = propose_second
    work(wire, task, choose=chosen(2), timing=Timing(ask=0.02, first_retry=0.0, longest_retry=0.0, drain=0.0))

    assert finishes[0] < finishes[1] < finishes[2] < len(calls) == 200
    assert len(wire.requests("finish")[3].items[0].reports) == 10
    assert [trial.state for trial in trials(store)] == ["complete", "complete"]


def test_a_worker_asked_to_stop_gives_all_back_at_once(store: Store, wire: Wire) -> None:
    """One release for 32 trials, and no attempt is counted."""
    run_study(store, pruner={"kind": "none"}, budget={"trials": 40})
    propose(store, count=32)
    stop, task, calls = Stop(), fresh(), []

    def ask(step: int) -> None:
        calls.append(step)
        if len(calls) == 100:
            stop.ask()

    task.on_batch = ask
    work(wire, task, stop=stop, choose=chosen(32))

    assert [len(request.items) for request in wire.requests("release")] == [32]
    assert {trial.state for trial in trials(store)} == {"proposed"}
    assert len(calls) == 100


def test_a_step_that_outlasts_the_grace_keeps_no_trial(store: Store, wire: Wire) -> None:
    """All 32 trials are given back from the background in time, while the training thread is still in its step."""
    run_study(store, pruner={"kind": "none"}, budget={"trials": 40})
    propose(store, count=32)
    stop, task, given_back = Stop(grace_seconds=1.0), fresh(), []

    def hang(step: int) -> None:
        if step < 3:
            return
        stop.ask()
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and any(trial.state == "leased" for trial in trials(store)):
            time.sleep(0.02)
        given_back.append(stop.grace_left)

    task.on_batch = hang
    work(wire, task, stop=stop, choose=chosen(32), timing=Timing(report=60.0, grace=1.0, drain=0.0))

    assert given_back[0] > 0
    assert {trial.state for trial in trials(store)} == {"proposed"}
    assert [len(request.items) for request in wire.requests("release")] == [32]


def test_a_defect_of_an_engine_costs_no_trial(store: Store, wire: Wire) -> None:
    """What an engine raises itself ends neither worker nor trials: they train one by one, and the offer says so."""

    class Broken(SideBySide):
        def advance(self, interrupted: Interrupted) -> list[Attempt]:
            if any(attempt.steps_done for attempt in self.attempts):
                raise AssertionError("the pack is in a knot")
            return super().advance(interrupted)

    propose(store, count=3)

    work(wire, choose=chosen(3, lambda task: Broken(task, 3)))

    assert [(trial.state, trial.steps_done) for trial in trials(store)] == [("complete", 100)] * 3
    packing = list_workers(store)[0].tasks[0].packing
    assert packing.size == 1
    assert "the pack is in a knot" in str(packing.reason)


def test_what_cannot_be_measured_is_trained_one_by_one(store: Store, wire: Wire) -> None:
    """When choosing a size fails the trials are trained all the same, and the offer has the reason."""

    def choose(task: Any) -> Any:
        raise RuntimeError("no such kernel")

    propose(store, count=2)

    work(wire, choose=choose)

    assert [trial.state for trial in trials(store)] == ["complete", "complete"]
    assert "no such kernel" in str(list_workers(store)[0].tasks[0].packing.reason)


def test_the_size_is_announced_once_it_is_known(store: Store, wire: Wire) -> None:
    """Before its first trial a task is said to take one, unmeasured; then at once what was measured."""
    propose(store, count=1)

    work(wire, choose=chosen(16))

    said = [(request.slots, request.tasks[0].packing.size, request.tasks[0].packing.reason)
            for request in wire.requests("announce")]  # fmt: skip
    assert said == [(1, 1, "not measured yet"), (16, 16, "measured")]


def test_a_shrunken_pack_is_announced(store: Store, wire: Wire) -> None:
    """An engine that takes fewer trials since memory ran out is said to, and is filled no further."""

    class Shrinking(SideBySide):
        def advance(self, interrupted: Interrupted) -> list[Attempt]:
            self.size = 2
            return super().advance(interrupted)

    propose(store, count=8)

    work(wire, choose=chosen(4, lambda task: Shrinking(task, 4)))

    assert list_workers(store)[0].slots == 2
    assert [len(request.items) for request in wire.requests("finish")] == [4, 2, 2]


@pytest.mark.parametrize("words", ["[enforce fail] not enough memory: you tried", "can't allocate memory: you tried"])
def test_a_trial_that_memory_does_not_take_fails_by_that_name(store: Store, wire: Wire, words: str) -> None:
    """Out of memory is a reason in one word, and the worker goes on."""
    propose(store, count=2)
    task, raised = fresh(), []

    def run_out(step: int) -> None:
        if step == 13 and not raised:
            raised.append(step)
            raise RuntimeError(words)

    task.on_batch = run_out
    work(wire, task, timing=QUICK)

    assert [(trial.state, trial.error) for trial in trials(store)] == [("failed", "out_of_memory"), ("complete", None)]
