"""A task's declared arithmetic holds in training and in evaluation, and nowhere else."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from search_spaces.candidate import Candidate
from tests.small_task import CANDIDATE, SmallTask
from workers.arithmetic import WrongPrecision, rounding
from workers.engine import Evaluation
from workers.training import Training

RULES = torch.backends.cuda.matmul, torch.backends.cudnn


class Looking(SmallTask):
    """The small task with a look at what its model computes in."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[torch.dtype] = set()
        self.rounds: set[bool] = set()

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        x, y = batch
        predicted = model(x)
        self.seen.add(predicted.dtype)
        self.rounds |= {rule.allow_tf32 for rule in RULES}
        return (predicted.to(y.dtype) - y).square().mean()


class Double(Looking):
    precision = "float64"

    def model(self, seed: int) -> nn.Module:
        return super().model(seed).double()

    def batch(self, step: int, seed: int) -> tuple[Tensor, Tensor]:
        x, y = super().batch(step, seed)
        return x.double(), y.double()

    def evaluate(self, model: nn.Module, split: str) -> dict[str, float]:
        return {"loss": self.loss(model, self.batch(0, 0)).item(), "weight": 0.0}


class Half(Looking):
    precision = "bf16"


class Rounded(Looking):
    tf32 = True


class Images(SmallTask):
    """A convolution, channels last."""

    channels_last = True
    seen: list[bool] = []

    def model(self, seed: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(4, 8, 1), nn.Flatten(), nn.Linear(32, 1))

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        x, y = batch
        images = x[:, :, None, None].expand(-1, -1, 2, 2).contiguous()
        hook = model[0].register_forward_pre_hook(
            lambda _module, args: self.seen.append(args[0].is_contiguous(memory_format=torch.channels_last))
        )
        predicted = model(images)
        hook.remove()
        return (predicted - y).square().mean()


def train(task: SmallTask, candidate: Candidate = CANDIDATE, **options: Any) -> tuple[Training, list[Evaluation]]:
    """Train it to the end."""
    training = Training(task, candidate, horizon_steps=20, seed=1, **options)
    return training, list(training.evaluations(lambda: False))


@pytest.mark.parametrize(
    ("kind", "inside", "outside"),
    [
        (Looking, torch.float32, torch.float32),
        (Half, torch.bfloat16, torch.float32),
        (Double, torch.float64, torch.float64),
    ],
)
def test_the_declared_precision(kind: type[Looking], inside: torch.dtype, outside: torch.dtype) -> None:
    """Training and evaluation compute in it; under bf16 parameters and the optimizer stay in float32."""
    task = kind()

    training, _ = train(task)

    assert task.seen == {inside}
    assert {parameter.dtype for parameter in training.model.parameters()} == {outside}
    assert {value.dtype for value in training.optimizer.state_dict()["state"][0].values()} == {outside}


def test_half_precision_goes_on_bit_equal() -> None:
    """A training under bf16 that was left goes on as the one that never stopped."""
    whole, expected = train(Half())
    left = Training(Half(), CANDIDATE, horizon_steps=20, seed=1)
    list(left.evaluations(lambda: left.step == 13))

    resumed, evaluations = train(Half(), start=left.state())

    assert evaluations == expected[1:]
    assert all(torch.equal(*pair) for pair in zip(resumed.model.parameters(), whole.model.parameters(), strict=True))


def test_a_precision_that_the_model_is_not_made_in() -> None:
    """A task that declares float64 and makes its model in float32 is told so before anything is trained."""

    class Wrong(SmallTask):
        precision = "float64"

    with pytest.raises(WrongPrecision, match=r"declares float64, its model's 0\.weight is torch\.float32"):
        train(Wrong())


@pytest.mark.parametrize(("kind", "rounded"), [(Looking, False), (Rounded, True)])
def test_tf32_is_the_tasks(kind: type[Looking], rounded: bool) -> None:
    """A GPU may round to TF32 in training and evaluation as the task says, whatever the process had set."""
    task = kind()
    before = [rule.allow_tf32 for rule in RULES]

    train(task)

    assert task.rounds == {rounded}
    assert [rule.allow_tf32 for rule in RULES] == before


def test_the_rounding_is_put_back_after_an_error() -> None:
    """Where a task fails, the process goes on with the settings that it had."""
    before = [rule.allow_tf32 for rule in RULES]

    with pytest.raises(ZeroDivisionError), rounding(Rounded()):
        raise ZeroDivisionError

    assert [rule.allow_tf32 for rule in RULES] == before


def test_channels_last() -> None:
    """The model's weights and what it is called with are laid out channels last, in evaluations too."""
    Images.seen.clear()

    training, _ = train(Images())

    assert training.model[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert set(Images.seen) == {True}
    assert len(Images.seen) == 22
