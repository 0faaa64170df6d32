"""What rungs ask for beside a trial's own training: cooldown branches and shorter schedules, alone and in packs."""

from __future__ import annotations

import math
from typing import Any

import pytest

from search_spaces.work import ClaimedTrial
from tests.small_task import SmallTask
from tests.unit.workers.test_pack import CANDIDATES, Judged, apart, attempt, candidate
from workers import branches
from workers.branches import Branching, cooled, next_shorter
from workers.engine import Attempt, Engine, TrainingState
from workers.packing.pack import Pack
from workers.solo import Solo
from workers.stops import regular_evaluations
from workers.training import Training

RUNGS = [10, 25, 33]
CHOSEN = CANDIDATES[:3]
PLATEAU = candidate({"kind": "adamw"}, 0.003, {"kind": "plateau", "patience": 0.1, "factor": 0.5})


def trials(fidelity: str, **given: Any) -> list[Attempt]:
    known: dict[str, Any] = {"rungs": RUNGS, "fidelity": fidelity, "cooldown_steps": 5} | given
    return [attempt(n, one, **known) for n, one in enumerate(CHOSEN)]


def seen_of(engine: Engine, *attempts: Attempt) -> dict[int, list[tuple[int, float, float | None, str]]]:
    """Train to the end; return step, value, cooldown and kind of every evaluation, by trial."""
    for one in attempts:
        engine.enter(one)
    seen: dict[int, list[tuple[int, float, float | None, str]]] = {one.claimed.number: [] for one in attempts}
    while engine.attempts:
        for stopped in engine.advance(lambda: False):
            shown = stopped.evaluation
            assert stopped.error is None
            assert shown is not None
            seen[stopped.claimed.number].append((shown.step, shown.value, shown.cooldown, shown.kind))
    return seen


def raw(seen: dict[int, list[tuple[int, float, float | None, str]]]) -> dict[int, list[tuple[int, float]]]:
    return {n: [(step, value) for step, value, _, kind in curve if kind == "raw"] for n, curve in seen.items()}


def beside(seen: dict[int, list[tuple[int, float, float | None, str]]]) -> dict[int, list[tuple[int, float]]]:
    """What rungs are judged by: of branches, and of shorter schedules."""
    return {
        n: [(step, value if kind == "rescaled" else cooldown or math.nan) for step, value, cooldown, kind in curve
            if cooldown is not None or kind == "rescaled"]
        for n, curve in seen.items()
    }  # fmt: skip


def engines(task: Any) -> dict[str, Engine]:
    return {"alone": Solo(task()), "traced": Pack(task(), 5, "traced")}


@pytest.mark.parametrize("fidelity", ["cooldown", "rescaled"])
@pytest.mark.parametrize("kind", ["alone", "traced"])
def test_a_trial_goes_on_as_if_nothing_had_been(kind: str, fidelity: str) -> None:
    """Raw values of the trials' own trainings, with branches and without, are equal to the bit."""
    plain = raw(seen_of(Branching(engines(Judged)[kind], Judged()), *trials("truncated")))

    branched = seen_of(Branching(engines(Judged)[kind], Judged()), *trials(fidelity))

    assert raw(branched) == plain
    assert {n: [step for step, _ in shown] for n, shown in beside(branched).items()} == {
        n: [step for step in RUNGS if fidelity == "rescaled" or n != 1 or step >= 5] for n in range(len(CHOSEN))
    }


@pytest.mark.parametrize("fidelity", ["cooldown", "rescaled"])
def test_branches_of_a_pack_are_those_of_each_alone(fidelity: str) -> None:
    """Trained together, each within 1e-5 of the branch that is trained by itself."""
    alone = beside(seen_of(Branching(Solo(Judged()), Judged()), *trials(fidelity)))

    pack = Pack(Judged(), 5, "forward")
    packed = beside(seen_of(Branching(pack, Judged()), *trials(fidelity)))

    assert pack.way == "forward"
    assert apart(packed, alone) < 1e-5


def test_branches_are_trained_as_a_pack() -> None:
    """At a rung all branches are in the pack at once, where their trials were."""
    pack = Pack(Judged(), 5, "forward")
    branching = Branching(pack, Judged())
    for one in trials("cooldown", rungs=[8], steps=16):
        branching.enter(one)
    together = set()

    while branching.attempts:
        branching.advance(_after_one())
        if pack.is_whole:
            together.add(tuple(sorted({one.claimed.horizon_steps for one in pack.attempts})))

    assert (13,) in together


@pytest.mark.parametrize("schedule", [CANDIDATES[0], PLATEAU])
def test_a_branchs_lr_falls_on_a_line_to_zero(schedule: Any) -> None:
    """From the LR that is in force at the rung, over the updates of the branch; the optimizer's state goes on."""
    claimed = attempt(0, schedule, rungs=[25], fidelity="cooldown", cooldown_steps=5).claimed
    task = SmallTask()
    training = Training(task, claimed.candidate, horizon_steps=50, seed=0, rungs=(25,))
    next(one for one in training.evaluations(lambda: False) if one.step == 25)
    lr = training.scheduler.ahead(1)[0, 0]
    state = training.state()

    branch = cooled(claimed, state, task)

    assert branch is not None
    assert (branch.horizon_steps, branch.rungs, regular_evaluations(task, 30)) == (30, [], 3)
    inside = Training(task, branch.candidate, horizon_steps=30, seed=0)
    inside.scheduler.skip(25)
    assert inside.scheduler.ahead(5)[:, 0].tolist() == pytest.approx([lr * share for share in (1, 0.8, 0.6, 0.4, 0.2)])


def test_a_branch_is_no_longer_than_what_is_left() -> None:
    """Near the horizon it ends where the trial would."""
    claimed = attempt(0, CANDIDATES[2], rungs=[45], fidelity="cooldown", cooldown_steps=20).claimed
    training = Training(SmallTask(), claimed.candidate, horizon_steps=50, seed=0, rungs=(45,))
    next(one for one in training.evaluations(lambda: False) if one.step == 45)

    branch = cooled(claimed, training.state(), SmallTask())

    assert branch is not None
    assert branch.horizon_steps == 50


def test_inside_its_rise_a_trial_has_no_branch() -> None:
    """A branch there would be trained for nothing: the store compares nobody inside his warm-up."""
    warm = candidate({"kind": "sgd"}, 0.01, {"kind": "cosine", "warmup": {"fraction": 0.4}})

    shown = beside(seen_of(Branching(Solo(SmallTask()), SmallTask()), attempt(
        0, warm, rungs=RUNGS, fidelity="cooldown", cooldown_steps=5)))  # fmt: skip

    assert [step for step, _ in shown[0]] == [25, 33]


def test_a_cohort_steps_aside_as_a_whole() -> None:
    """Where trials share their batches, those inside their rise have branches too: nobody waits for them to end."""

    class Shared(Judged):
        cohort = True

    warm = candidate({"kind": "sgd"}, 0.01, {"kind": "cosine", "warmup": {"fraction": 0.6}})
    mixed = [
        attempt(n, one, rungs=[25], fidelity="cooldown", cooldown_steps=5) for n, one in enumerate((CHOSEN[0], warm))
    ]

    shown = seen_of(Branching(Pack(Shared(), 2, "forward"), Shared()), *mixed)

    assert [[step for step, _ in rungs] for rungs in beside(shown).values()] == [[25], [25]]
    assert [curve[-1][0] for curve in shown.values()] == [50, 50]


def test_what_branches_cost_is_counted() -> None:
    """Three branches of five updates; three whole schedules of 10, 25 and 33."""
    for fidelity, extra in (("cooldown", 15), ("rescaled", 68)):
        one = attempt(0, CANDIDATES[0], rungs=RUNGS, fidelity=fidelity, cooldown_steps=5)

        seen_of(Branching(Solo(SmallTask()), SmallTask()), one)

        assert (one.steps_done, one.extra_steps, one.updates) == (50, extra, 50 + extra)


def test_a_shorter_schedule_is_a_whole_training() -> None:
    """What a rung is judged by is the final metric of the candidate trained with that horizon."""
    shown = beside(seen_of(Branching(Solo(SmallTask()), SmallTask()), *trials("rescaled")))

    whole = raw(seen_of(Solo(SmallTask()), *trials("truncated", steps=25, rungs=[])))

    assert {n: dict(curve)[25] for n, curve in shown.items()} == {n: dict(curve)[25] for n, curve in whole.items()}


def test_a_rung_too_short_for_the_schedule_is_passed_by() -> None:
    """One-cycle needs a step before its peak: no training is asked for that cannot be drawn."""
    cycle = candidate({"kind": "sgd"}, 0.01, {"kind": "one_cycle", "peak_fraction": 0.05})

    claimed = attempt(0, cycle, rungs=[10, 40], fidelity="rescaled").claimed

    assert next_shorter(claimed, 0) == 40


@pytest.mark.parametrize("fidelity", ["cooldown", "rescaled"])
@pytest.mark.parametrize(("kind", "after"), [("alone", 12), ("traced", 28)])
def test_a_trial_resumed_anywhere_is_the_same(kind: str, fidelity: str, after: int) -> None:
    """Left after any number of updates, within a branch too, and taken up from its state: every value is as before."""
    whole = seen_of(Branching(engines(SmallTask)[kind], SmallTask()), *trials(fidelity)[:2])
    first = Branching(engines(SmallTask)[kind], SmallTask())
    left = trials(fidelity)[:2]
    shown: dict[int, list[Any]] = {one.claimed.number: [] for one in left}
    for one in left:
        first.enter(one)
    looks = iter(range(after))

    while sum(one.updates for one in left) < 2 * after and next(looks, None) is not None:
        for stopped in first.advance(_after_one()):
            if (seen := stopped.evaluation) is not None:
                shown[stopped.claimed.number].append((seen.step, seen.value, seen.cooldown, seen.kind))
    states = [first.state(one) for one in left]
    second = Branching(engines(SmallTask)[kind], SmallTask())
    again = [
        _taken_up(one, state, shown[one.claimed.number]) for one, state in zip(left, states, strict=True)
    ]  # fmt: skip
    rest = seen_of(second, *again)

    for number, curve in whole.items():
        values = {(step, shown_as): (value, cooldown) for step, value, cooldown, shown_as in curve}
        for step, value, cooldown, shown_as in [*shown[number], *rest[number]]:
            assert values.pop((step, shown_as), (value, cooldown)) == (value, cooldown)
        assert not values


def test_a_diverged_shorter_schedule_is_worst_and_no_failure() -> None:
    """The trial's own training may do better: that it does not is for the store to say."""
    wild = attempt(0, candidate({"kind": "sgd", "momentum": 0.9}, 1e6), rungs=[10], fidelity="rescaled")
    branching = Branching(Solo(SmallTask()), SmallTask())
    branching.enter(wild)

    stopped = branching.advance(lambda: False)

    assert stopped == [wild]
    assert wild.error is None
    assert wild.evaluation is not None
    assert math.isnan(wild.evaluation.value)
    branching.leave(wild)
    assert branching.attempts == branching.inner.attempts == []


def test_a_pruned_trial_leaves_with_its_branch() -> None:
    """Lost or stopped within a branch, nothing of it stays in the engine."""
    branching = Branching(Solo(SmallTask()), SmallTask())
    one = attempt(0, CANDIDATES[2], rungs=[10], fidelity="cooldown", cooldown_steps=5)
    branching.enter(one)
    while one.extra_steps == 0:
        branching.advance(_after_one())

    branching.leave(one)

    assert branching.attempts == branching.inner.attempts == []


def test_a_branch_that_fails_leaves_its_trial_to_the_raw_value() -> None:
    """What a task raises inside a branch costs the branch alone."""

    class Failing(SmallTask):
        @staticmethod
        def on_batch(step: int) -> None:  # type: ignore[override]
            if Failing.fails and step == 12:
                Failing.fails = False
                raise ValueError("once")

        fails = True

    shown = seen_of(Branching(Solo(Failing()), Failing()), attempt(
        0, CANDIDATES[2], rungs=[10], fidelity="cooldown", cooldown_steps=5))  # fmt: skip

    assert beside(shown) == {0: []}
    assert raw(shown)[0][-1][0] == 50


def _after_one() -> Any:
    """Interrupt after one update."""
    looks = iter([False])
    return lambda: next(looks, True)


def _taken_up(one: Attempt, state: TrainingState | None, shown: list[Any]) -> Attempt:
    """The trial as another worker claims it: with its state, and what the store knows of its rungs."""
    settled = max((step for step, _, cooldown, kind in shown if cooldown is not None or kind == "rescaled"), default=0)
    claimed: ClaimedTrial = one.claimed.model_copy(update={"settled_rung": settled})
    steps = 0 if state is None or "shorter" in state else state["step"]
    return Attempt(claimed, state, steps)


@pytest.mark.parametrize("every", [10, 100])
def test_a_branch_whose_state_is_of_no_use_is_none(monkeypatch: pytest.MonkeyPatch, every: int) -> None:
    """An engine begins again where a state does not fit: that is another training, and its value is not taken."""

    class Rarely(SmallTask):
        evaluation_steps = every

    monkeypatch.setattr(branches, "_of_branch", lambda state, horizon: {**state["scheduler"], "base_lrs": [9.9]})
    one = attempt(0, CANDIDATES[2], rungs=[10], fidelity="cooldown", cooldown_steps=5)

    shown = seen_of(Branching(Solo(Rarely()), Rarely()), one)

    assert beside(shown) == {0: []}
    assert raw(shown)[0][-1][0] == 50
