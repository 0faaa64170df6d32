"""The noisy quadratic model: its recursion, its best schedule, and that training it does what the recursion says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search_spaces.candidate import Candidate
from workers.quadratic import Quadratic
from workers.tasks.noisy_quadratic import NoisyQuadratic, QuadraticParams, problem
from workers.training import Training

RECORDED = sorted((Path(__file__).parents[2] / "golden" / "noisy_quadratic").glob("*.json"))


def read(file: Path) -> tuple[dict[str, Any], Quadratic]:
    """A recorded problem."""
    recorded = json.loads(file.read_text())
    arrays = (np.array(recorded[name]) for name in ("h", "c_over_B", "A0"))
    return recorded, Quadratic(*arrays)


@pytest.mark.parametrize("file", RECORDED, ids=lambda file: file.stem)
def test_expected_losses(file: Path) -> None:
    """The whole loss curves of the recorded schedules, and of the best one, are reproduced."""
    recorded, model = read(file)

    for schedule in (*recorded["schedules"].values(), recorded["optimal"], recorded["greedy"]):
        losses = model.losses(schedule["lr"])

        np.testing.assert_allclose(losses, schedule["loss_curve"], rtol=1e-12)


@pytest.mark.parametrize("file", RECORDED, ids=lambda file: file.stem)
def test_the_best_schedule(file: Path) -> None:
    """No recorded method, a quasi-Newton method from five starts among them, ends lower; greedy ends higher."""
    recorded, model = read(file)

    found = model.optimal(recorded["T"])

    last = model.losses(found)[-1]
    assert last == pytest.approx(recorded["optimal"]["final_loss"], rel=1e-9)
    assert last == pytest.approx(recorded["optimal"]["lbfgsb_check_min"], rel=1e-9)
    assert float(found.max()) <= recorded["lr_cap"]
    np.testing.assert_allclose(model.greedy(recorded["T"]), recorded["greedy"]["lr"], rtol=1e-12)
    if len(model.curvatures) > 1:
        assert model.losses(model.greedy(recorded["T"]))[-1] > 1.1 * last


def test_in_one_coordinate_the_best_schedule_is_inverse_time() -> None:
    """With h = v = A = 1 the best rates are 1/(t + 2), and the last loss is 1/(2 (T + 1))."""
    ones = np.ones(1)

    found = Quadratic(ones, ones, ones).optimal(50)

    np.testing.assert_allclose(found, 1 / (np.arange(50) + 2), rtol=1e-9)


def test_the_task_is_the_recorded_problem() -> None:
    """By default the task has the 100 coordinates, the batch of 2 and the 200 updates of the recorded problem."""
    recorded, model = read(next(file for file in RECORDED if file.stem == "d100_B2_T200"))

    made = problem()

    np.testing.assert_allclose(made.curvatures, model.curvatures)
    np.testing.assert_allclose(made.variances, model.variances)
    np.testing.assert_allclose(made.moments, model.moments)
    assert NoisyQuadratic.epochs * NoisyQuadratic.steps_per_epoch == recorded["T"]


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_training_does_what_is_expected_of_it(momentum: float) -> None:
    """Over four seeds, SGD's mean last loss lies within five standard errors of the expected one."""
    recorded, _ = read(next(file for file in RECORDED if file.stem == "d100_B2_T200"))
    known = recorded["momentum"] if momentum else recorded["schedules"]["linear_0.5"]
    assert recorded["momentum"]["mu"] == 0.9
    candidate = Candidate.model_validate({
        "optimizer": {"kind": "sgd", "momentum": momentum},
        "initial_lr": known["lr"][0],
        "schedule": {"kind": "linear"},
    })  # fmt: skip
    task = NoisyQuadratic()

    last = [
        [*Training(task, candidate, horizon_steps=200, seed=seed).evaluations(lambda: False)][-1].value
        for seed in range(4)
    ]

    error = np.std(last, ddof=1) / np.sqrt(len(last))
    assert abs(np.mean(last) - known["final_loss"]) < 5 * error
    assert error < 0.03 * known["final_loss"]


def test_the_task_knows_its_optimum() -> None:
    """The least loss to expect after so many steps is that of the best schedule; a longer horizon has a lower one."""
    task, made = NoisyQuadratic({"dimensions": 5}), problem(QuadraticParams(dimensions=5))

    assert task.optimum(50) == pytest.approx(made.losses(made.optimal(50))[-1])
    assert task.optimum(100) < task.optimum(50) < made.losses(made.greedy(50))[-1]


def test_a_larger_batch_has_less_noise() -> None:
    """The variance of the noise is that of one example over the batch's."""
    task = NoisyQuadratic({"examples": 50, "dimensions": 3})

    noise = task.batch(7, seed=1)

    assert noise.shape == (64, 3)
    assert float(noise.std()) == pytest.approx(float(np.sqrt(np.mean(1 / np.arange(1, 4) / 50))), rel=0.2)
    assert problem(QuadraticParams(examples=50, dimensions=3)).variances[0] == pytest.approx(0.02)
