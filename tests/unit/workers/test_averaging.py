"""Averages of a trial's weights at its rungs: the same alone, in a pack and after a resumption."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from tests.small_task import SmallTask
from tests.unit.workers.test_pack import CANDIDATES, Judged, attempt, candidate
from workers.averaging import SHARES, Averages, Pace, best_of, pace_of
from workers.engine import Engine
from workers.packing.pack import Pack
from workers.resuming import StateDoesNotFit
from workers.solo import Solo
from workers.training import Training

RUNGS = [10, 25, 33]


class Normed(Judged):
    """The small task with buffers that change."""

    def model(self, seed: int) -> nn.Module:
        return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 1))


def averaged(engine: Engine, *attempts: Any) -> dict[int, dict[int, float | None]]:
    """Train to the end; return what averages showed, by trial and step, where there was anything to show."""
    for one in attempts:
        engine.enter(one)
    seen: dict[int, dict[int, float | None]] = {one.claimed.number: {} for one in attempts}
    while engine.attempts:
        for stopped in engine.advance(lambda: False):
            evaluation = stopped.evaluation
            if evaluation is not None and evaluation.averaged is not None:
                seen[stopped.claimed.number][evaluation.step] = evaluation.averaged
    return seen


def trials(fidelity: str = "averaged", **given: Any) -> list[Any]:
    return [attempt(n, one, rungs=RUNGS, fidelity=fidelity, **given) for n, one in enumerate(CANDIDATES)]


def test_an_average_is_the_mean_that_its_formula_says() -> None:
    """Against a sum written out: exponential weights of each update's parameters, divided by their total."""
    task, pace = SmallTask(), Pace(horizon_steps=50, last=33)
    training = Training(task, CANDIDATES[0], horizon_steps=50, seed=0, rungs=(33,), pace=pace)
    weights = []
    training.optimizer.register_step_post_hook(
        lambda *_: weights.append(next(training.model.parameters()).detach().clone())
    )
    found = next(one for one in training.evaluations(lambda: False) if one.step == 33)
    assert training._averages is not None

    shown: list[torch.Tensor] = []
    training._averages.judged(33, lambda: shown.append(next(training.model.parameters()).detach().clone()) or 0.0)

    for share, value in zip(SHARES, shown, strict=True):
        decay = math.exp(-1 / (share * 50))
        parts = torch.tensor([decay ** (32 - i) for i in range(33)])
        expected = sum(part * weight for part, weight in zip(parts, weights[:33], strict=True)) / parts.sum()
        torch.testing.assert_close(value, expected)
    assert found.averaged is not None


def test_averages_leave_the_training_alone() -> None:
    """With and without them the raw values are equal to the bit, and only rungs show any."""
    with_them, without = ([], [])
    for fidelity, seen in (("averaged", with_them), ("truncated", without)):
        engine = Solo(Normed())
        one = attempt(0, CANDIDATES[0], rungs=RUNGS, fidelity=fidelity)
        engine.enter(one)
        while engine.attempts:
            for stopped in engine.advance(lambda: False):
                assert stopped.evaluation is not None
                seen.append((stopped.evaluation.step, stopped.evaluation.value))

    shown = averaged(Solo(Normed()), attempt(0, CANDIDATES[0], rungs=RUNGS, fidelity="averaged"))

    assert with_them == without
    assert list(shown[0]) == RUNGS


@pytest.mark.parametrize("way", ["forward", "traced"])
@pytest.mark.parametrize("task", [SmallTask, Judged])
def test_a_packs_averages_are_those_of_each_alone(task: type[SmallTask], way: Any) -> None:
    """Optimizers side by side: at every rung the averages' metric agrees with that of the trial alone."""
    alone = averaged(Solo(task()), *trials())

    packed = averaged(Pack(task(), 5, way), *trials())

    assert {n: list(curve) for n, curve in packed.items()} == dict.fromkeys(range(len(CANDIDATES)), RUNGS)
    for n, curve in alone.items():
        for step, value in curve.items():
            assert packed[n][step] == pytest.approx(value, rel=1e-4)


def test_buffers_are_averaged_with_the_weights() -> None:
    """Batch norm's means and variances follow too, packed as alone."""
    alone = averaged(Solo(Normed()), *trials())

    packed = averaged(Pack(Normed(), 5, "forward"), *trials())

    for n, curve in alone.items():
        assert packed[n] == pytest.approx(curve, rel=1e-3)


def test_trials_with_and_without_averages_share_a_pack() -> None:
    """Only those that are judged by averages show any, whatever their neighbours do and wherever they stand."""
    late = attempt(7, CANDIDATES[0], rungs=[20], fidelity="averaged", steps=40)
    mixed = [attempt(0, CANDIDATES[0], rungs=RUNGS), attempt(1, CANDIDATES[2], rungs=RUNGS, fidelity="averaged"), late]

    shown = averaged(Pack(Judged(), 3, "forward"), *mixed)

    assert {n: list(curve) for n, curve in shown.items()} == {0: [], 1: RUNGS, 7: [20]}
    own = averaged(Solo(Judged()), attempt(7, CANDIDATES[0], rungs=[20], fidelity="averaged", steps=40))
    assert shown[7][20] == pytest.approx(own[7][20], rel=1e-4)


@pytest.mark.parametrize("engine", [lambda: Solo(Normed()), lambda: Pack(Normed(), 2, "forward")])
def test_averages_go_on_to_the_bit(engine: Any) -> None:
    """Left between two updates and taken up elsewhere, later rungs show what they would have."""
    whole = averaged(engine(), attempt(0, CANDIDATES[0], rungs=RUNGS, fidelity="averaged"))
    first, one = engine(), attempt(0, CANDIDATES[0], rungs=RUNGS, fidelity="averaged")
    first.enter(one)
    while one.steps_done < 20:
        first.advance(lambda: False)
    looks = iter([False] * 3 + [True])
    first.advance(lambda: next(looks))
    assert one.steps_done == 23

    rest = averaged(engine(), attempt(0, CANDIDATES[0], rungs=RUNGS, fidelity="averaged", start=first.state(one)))

    assert rest[0] == {step: value for step, value in whole[0].items() if step > 23}


def test_a_state_without_averages_is_no_state_of_a_trial_that_keeps_them() -> None:
    """It begins again rather than average over a part of its training."""
    plain = Solo(SmallTask())
    one = attempt(0, CANDIDATES[0], rungs=RUNGS)
    plain.enter(one)
    plain.advance(lambda: False)
    state = plain.state(one)

    again = attempt(0, CANDIDATES[0], rungs=RUNGS, fidelity="averaged", start=state)

    assert list(averaged(Solo(SmallTask()), again)[0]) == RUNGS


def test_averages_of_another_model_are_refused() -> None:
    """By number, name and shape."""
    pace = Pace(50, 25)
    model = nn.Linear(2, 1)
    fitting = Averages(model, pace).state()

    for wrong in (fitting * 2, [{"weight": fitting[0]["weight"]}], Averages(nn.Linear(3, 1), pace).state()):
        with pytest.raises(StateDoesNotFit):
            Averages(model, pace, wrong)


def test_an_average_moves_at_most_five_hundred_times_until_the_last_rung() -> None:
    """Long horizons cost no more than short ones, and nothing is paid for after the last rung."""
    pace = Pace(horizon_steps=10_000, last=5_000)

    moves = [step for step in range(1, 10_001) if pace.is_due(step)]

    assert moves == list(range(20, 5_001, 20))
    assert pace.scales(19) == ()
    assert pace.scales(20) == pytest.approx([1 / (1 - decay) for decay in pace.decays])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"fidelity": "truncated"}, None),
        ({"fidelity": "averaged", "rungs": []}, None),
        ({"fidelity": "averaged", "rungs": [50]}, None),
        ({"fidelity": "averaged", "rungs": [5, 25]}, Pace(50, 25)),
    ],
)
def test_averages_are_kept_where_rungs_compare_them(given: dict[str, Any], expected: Pace | None) -> None:
    """A trial without a rung inside its horizon, or of a study that compares raw values, keeps none."""
    one = attempt(0, candidate({"kind": "sgd"}, 0.1), **given)

    assert pace_of(one.claimed) == expected


def test_the_better_average_counts() -> None:
    """By the metric's direction; one that is not finite is none."""
    assert best_of([2.0, 1.0, math.nan], "minimize") == 1.0
    assert best_of([2.0, 1.0, -math.inf], "maximize") == 2.0
    assert best_of([math.inf], "minimize") is None
