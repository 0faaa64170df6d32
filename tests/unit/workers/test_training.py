"""One training: where it stops, what it feeds, when it gives up, and that it is a function of its seed."""

from __future__ import annotations

import math

import pytest
import torch

from etude.task import Split
from search_spaces.candidate import Candidate
from search_spaces.problems import HorizonTooShort
from tests.small_task import CANDIDATE, DIVERGING, SmallTask, fresh
from workers.training import Diverged, Evaluation, HorizonMismatch, Training


def train(training: Training) -> list[Evaluation]:
    """Train to the end."""
    return list(training.evaluations(lambda: False))


def training(
    task: SmallTask | None = None, candidate: Candidate = CANDIDATE, *, steps: int = 100, seed: int = 1,
    rungs: tuple[int, ...] = (),
) -> Training:  # fmt: skip
    """A training of the small task."""
    return Training(task or fresh()(), candidate, horizon_steps=steps, seed=seed, rungs=rungs)


def test_it_stops_at_every_epoch_every_rung_and_the_horizon() -> None:
    """Regular evaluations, rungs in between, and the last update are the stops."""
    ongoing = training(steps=35, rungs=(7, 20))

    evaluations = train(ongoing)

    assert [evaluation.step for evaluation in evaluations] == [7, 10, 20, 30, 35]
    assert set(evaluations[0].further) == {"validation_weight"}
    assert ongoing.finished


def test_it_makes_the_updates_of_the_horizon() -> None:
    """T updates are made by the optimizer, each on its own batch, and the scheduler has gone to the end."""
    task, steps = fresh(), []
    task.on_batch = steps.append
    ongoing = training(task(), steps=23)

    train(ongoing)

    assert steps == list(range(23))
    assert ongoing.scheduler.last_epoch == 23


def test_an_update_too_many_is_noticed() -> None:
    """A task that makes updates of its own does not pass for a training of T updates."""
    task = fresh()
    ongoing = training(task(), steps=20)
    task.on_batch = lambda _step: ongoing.optimizer.step()

    with pytest.raises(HorizonMismatch, match="horizon_mismatch: 40 updates instead of 20"):
        train(ongoing)


@pytest.mark.filterwarnings("ignore:.*optimizer.step.*overridden")
def test_an_update_too_few_is_noticed() -> None:
    """Where some of the optimizer's updates are left out, the training does not pass for one of T updates either."""
    ongoing = training(steps=20)
    made, step = ongoing.optimizer.step, iter(range(20))
    ongoing.optimizer.step = lambda: made() if next(step) % 2 else None  # type: ignore[method-assign]

    with pytest.raises(HorizonMismatch, match="10 updates instead of 20"):
        train(ongoing)


@pytest.mark.parametrize("kind", ["schedule_free_sgd", "schedule_free_adamw"])
def test_a_schedule_free_candidate_is_judged_by_its_average(kind: str) -> None:
    """Between updates the weights are those that are trained, in an evaluation they are the average."""
    free = CANDIDATE.model_validate(
        {"optimizer": {"kind": kind}, "initial_lr": 0.01, "schedule": {"kind": "constant", "warmup": {"fraction": 0.1}}}
    )
    ongoing = training(candidate=free)

    evaluations = train(ongoing)

    trained = sum(float(parameter.detach().abs().sum()) for parameter in ongoing.model.parameters())
    assert ongoing.finished
    assert evaluations[-1].value < evaluations[0].value
    assert evaluations[-1].further["validation_weight"] != pytest.approx(trained)


def test_it_is_a_function_of_its_seed() -> None:
    """The same seed gives the same numbers to the last bit, dropout included; another seed gives others."""
    first, again, other = (train(training(seed=seed)) for seed in (1, 1, 2))

    assert first == again
    assert first[-1].value != other[-1].value


def test_trainings_that_take_turns_do_not_meet() -> None:
    """Two trainings in turns give what each gives alone, though both draw from torch's one generator."""
    alone = [train(training(seed=seed)) for seed in (1, 2)]
    taking_turns = [training(seed=seed).evaluations(lambda: False) for seed in (1, 2)]

    together = list(zip(*taking_turns, strict=True))

    assert [list(evaluations) for evaluations in zip(*together, strict=True)] == alone


def test_rungs_change_nothing() -> None:
    """Stopping at rungs to be compared leaves the training as it was, plateau included."""
    plateau = CANDIDATE.model_validate(
        CANDIDATE.model_dump() | {"schedule": {"kind": "plateau", "factor": 0.5, "patience": 0.0, "threshold": 0.5}}
    )
    plain, compared = training(candidate=plateau), training(candidate=plateau, rungs=(3, 7, 15, 42))

    lasts = [train(each)[-1] for each in (plain, compared)]

    assert lasts[0] == lasts[1]
    assert plain.scheduler.get_last_lr() == compared.scheduler.get_last_lr()
    assert plain.scheduler.get_last_lr()[0] < 0.01


def test_it_can_be_left_at_any_step() -> None:
    """Asked between two steps, it ends there and is not finished."""
    task, steps = fresh(), []
    task.on_batch = steps.append
    ongoing = training(task())

    evaluations = list(ongoing.evaluations(lambda: len(steps) == 25))

    assert ongoing.step == 25
    assert [evaluation.step for evaluation in evaluations] == [10, 20]
    assert not ongoing.finished


def test_a_loss_that_is_not_finite() -> None:
    """A training whose loss overflows has diverged, at the next stop."""
    ongoing = training(candidate=DIVERGING)

    with pytest.raises(Diverged):
        train(ongoing)

    assert ongoing.step == 10


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_metric_that_is_not_finite(value: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """A decision metric that is no number ends the training as diverged, though the loss was finite."""
    ongoing = training()
    monkeypatch.setattr(ongoing.task, "evaluate", lambda model, split: {"loss": value})

    with pytest.raises(Diverged):
        train(ongoing)


def test_evaluation_is_without_dropout_and_gradients() -> None:
    """The model is in evaluation mode while it is judged, and in training mode for the updates."""
    ongoing, modes = training(steps=10), []

    def evaluate(model: torch.nn.Module, split: Split) -> dict[str, float]:
        modes.append((model.training, torch.is_grad_enabled()))
        return {"loss": 1.0}

    ongoing.task.evaluate = evaluate  # type: ignore[method-assign]
    train(ongoing)

    assert modes == [(False, False)]
    assert ongoing.model.training


def test_a_search_never_sees_the_test_split() -> None:
    """Training asks for the validation split only; the test split is measured when asked by name."""
    task = fresh()
    ongoing = training(task(), rungs=(5, 50))

    train(ongoing)

    assert set(task.evaluated) == {"validation"}
    assert set(ongoing.measure("test")) == {"test_loss", "test_weight"}
    assert task.evaluated[-1] == "test"


def test_a_horizon_too_short_for_the_schedule() -> None:
    """A candidate that does not fit the horizon is refused before anything is trained."""
    restarting = CANDIDATE.model_validate(
        CANDIDATE.model_dump() | {"schedule": {"kind": "cosine", "restarts": {"count": 9}}}
    )

    with pytest.raises(HorizonTooShort):
        training(candidate=restarting, steps=4)
