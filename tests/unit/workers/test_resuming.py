"""A training that was left, saved to a file and gone on from is the training that never stopped, to the last bit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from etude.task import Task
from search_spaces.candidate import Candidate
from tests.learners import DENSE, SPARSE, learner
from tests.small_task import CANDIDATE, SmallTask
from workers.engine import Evaluation, TrainingState
from workers.tasks.embedding import Embedding
from workers.training import StateDoesNotFit, Training

HORIZON = 60
RUNG = 33
SCHEDULES: Mapping[str, dict[str, Any]] = {
    "constant": {"warmup": {"fraction": 0.1}},
    "cosine": {"restarts": {"count": 3}},
    "one_cycle": {},
    "exponential": {"final_factor": 0.01},
    "plateau": {"factor": 0.5, "patience": 0.1, "threshold": 0.9, "cooldown": 0.2, "warmup": {"fraction": 0.1}},
}


class Normed(SmallTask):
    """The small task with everything that a state has to hold: buffers, groups, dropout."""

    name = "normed"
    version = "1"
    parameter_groups = ("head",)

    def model(self, seed: int) -> nn.Module:
        return nn.Sequential(
            nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Conv1d(1, 2, 1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(16, 1)
        )

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        x, y = batch
        hidden = model[1](model[0](x)).unsqueeze(1)
        return (model[2:](hidden) - y).square().mean()

    def groups(self, model: nn.Module) -> list[dict[str, Any]]:
        head = list(model[5].parameters())
        return [{"params": list(model[:5].parameters())}, {"params": head, "name": "head"}]


def candidate(schedule: str, **changes: Any) -> Candidate:
    """SGD at another rate in the head, by a schedule."""
    written = CANDIDATE.model_dump() | {"schedule": {"kind": schedule, **SCHEDULES[schedule]}, "lr_ratios": {"head": 2}}
    return Candidate.model_validate(written | changes)


def gentle(kind: str) -> Candidate:
    """Each optimizer's candidate, at an LR that the small task stands."""
    chosen = learner(kind)
    return chosen.model_copy(update={"initial_lr": min(chosen.initial_lr, 0.01)})


def training(
    chosen: Candidate, task: Task | None = None, *, start: TrainingState | None = None, horizon: int = HORIZON
) -> Training:
    """A training with a rung between its evaluations."""
    return Training(task or Normed(), chosen, horizon_steps=horizon, seed=3, rungs=(RUNG,), start=start)


def left(chosen: Candidate, step: int, task: Task | None = None) -> TrainingState:
    """The state of a training that was left after so many steps."""
    ongoing = training(chosen, task)
    list(ongoing.evaluations(lambda: ongoing.step == step))
    return ongoing.state()


def through_a_file(state: TrainingState, folder: Path) -> TrainingState:
    """Save and load a state as a checkpoint does: nothing but tensors and plain values is read back."""
    torch.save(dict(state), folder / "state.pt")
    return cast(TrainingState, torch.load(folder / "state.pt", weights_only=True))


def equal(one: Any, other: Any) -> bool:
    """Whether two states are the same to the last bit."""
    if isinstance(one, Tensor):
        if one.is_sparse:
            one, other = one.coalesce().to_dense(), other.coalesce().to_dense()
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other)


def finish(ongoing: Training) -> list[Evaluation]:
    """Train to the end."""
    return list(ongoing.evaluations(lambda: False))


def check_resumed(chosen: Candidate, step: int, folder: Path, task: Task | None = None) -> None:
    """Compare a training that was left at a step with one that was not: every later evaluation and the last state."""
    whole = training(chosen, task)
    expected = [evaluation for evaluation in finish(whole) if evaluation.step > step]
    resumed = training(chosen, task, start=through_a_file(left(chosen, step, task), folder))

    evaluations = finish(resumed)

    assert evaluations == expected
    assert resumed.updates == HORIZON
    assert equal(resumed.state(), whole.state())


@pytest.mark.parametrize("step", [1, RUNG])
@pytest.mark.parametrize("kind", list(DENSE))
def test_every_optimizer(kind: str, step: int, tmp_path: Path) -> None:
    """After the first update, and at a rung in the middle of an epoch: bit-equal with each optimizer."""
    check_resumed(gentle(kind), step, tmp_path)


@pytest.mark.parametrize("kind", list(SPARSE))
def test_sparse_gradients(kind: str, tmp_path: Path) -> None:
    """Where gradients are sparse, and the momentum with them, too."""
    check_resumed(learner(kind, sparse=True), 25, tmp_path, Embedding())


@pytest.mark.parametrize("step", [3, 25, 30, RUNG, 59])
@pytest.mark.parametrize("schedule", list(SCHEDULES))
def test_schedules(schedule: str, step: int, tmp_path: Path) -> None:
    """Within a warm-up, a cycle or a plateau's patience the LR goes on as it would have, in every group."""
    check_resumed(candidate(schedule), step, tmp_path)


def test_the_plateau_was_cut() -> None:
    """The plateau above cuts twice within the horizon, with a cooldown between: its rule's state matters."""
    ongoing = training(candidate("plateau"))

    finish(ongoing)

    assert ongoing.scheduler.get_last_lr() == [0.0025, 0.005]


def test_left_again_and_again(tmp_path: Path) -> None:
    """A training that is left at every seventh step ends where the one that never stopped does."""
    chosen = candidate("plateau")
    whole = training(chosen)
    expected = finish(whole)
    state, evaluations = None, []

    for step in (*range(7, HORIZON, 7), HORIZON):
        ongoing = training(chosen, start=state)
        evaluations += ongoing.evaluations(lambda ongoing=ongoing, step=step: ongoing.step == step)
        state = through_a_file(ongoing.state(), tmp_path)

    assert evaluations == expected
    assert equal(state, whole.state())


@pytest.mark.parametrize("kind", [kind for kind in DENSE if kind != "prodigy" and "free" not in kind])
def test_a_state_without_groups(kind: str, tmp_path: Path) -> None:
    """As a pack writes it, a state leaves the optimizer's numbers to the candidate: going on is the same."""
    chosen = gentle(kind)
    whole = training(chosen)
    expected = finish(whole)[-1]
    state = through_a_file(left(chosen, 25), tmp_path)
    state["optimizer"]["param_groups"] = None

    last = finish(training(chosen, start=state))[-1]

    assert last == expected


def test_a_state_is_a_copy() -> None:
    """Training on changes neither a state that was taken nor one that was started from."""
    chosen = learner("adam")
    ongoing = training(chosen)
    list(ongoing.evaluations(lambda: ongoing.step == 25))
    taken, again = ongoing.state(), left(chosen, 25)

    finish(ongoing)
    finish(training(chosen, start=taken))

    assert equal(taken, again)


def test_left_at_the_horizon() -> None:
    """Of a training whose last update is made, the end is evaluated again: the trial needs its value."""
    chosen = candidate("cosine")
    whole = training(chosen)
    last = finish(whole)[-1]

    resumed = training(chosen, start=whole.state())

    assert finish(resumed) == [last]
    assert resumed.finished


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": SmallTask(), "chosen": candidate("cosine", lr_ratios={})}, "missing or too many"),
        ({"horizon": HORIZON + 1}, "total_steps"),
        ({"horizon": 20}, "step 25, the horizon has 20"),
        ({"chosen": candidate("cosine", initial_lr=0.02)}, "base_lrs"),
        ({"chosen": candidate("cosine", optimizer={"kind": "adam"})}, "another optimizer's"),
        ({"chosen": candidate("plateau")}, "rule"),
    ],
)
def test_another_trainings_state(change: dict[str, Any], message: str) -> None:
    """A state of another model, horizon, LR, optimizer or schedule is refused with the reason."""
    state = left(candidate("cosine"), 25)

    with pytest.raises(StateDoesNotFit, match=message):
        training(**{"chosen": candidate("cosine"), "start": state, **change})


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("model", "0.weight", torch.zeros(8, 5)),
        ("model", "0.weight", torch.zeros(8, 4, dtype=torch.float64)),
        ("state", "exp_avg", torch.zeros(8, 5)),
        ("state", "exp_avg", torch.zeros(7)),
    ],
)
def test_other_shapes(part: str, name: str, value: Tensor) -> None:
    """A tensor of another shape or type is refused, in the model and in the optimizer's state."""
    state = left(learner("adam"), 25)
    place = state["model"] if part == "model" else state["optimizer"]["state"][0]
    place[name] = value

    with pytest.raises(StateDoesNotFit, match="does not fit"):
        training(learner("adam"), start=state)
