"""A task for tests: a line fitted in a blink, with a look into every call."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, ClassVar

from torch import Tensor, nn

from etude.task import Split, Task
from search_spaces.candidate import Candidate
from workers import randomness
from workers.randomness import Place

CANDIDATE = Candidate.model_validate(
    {"optimizer": {"kind": "sgd", "momentum": 0.9}, "initial_lr": 0.01, "schedule": {"kind": "cosine"}}
)
"""Trains the line without trouble."""
DIVERGING = CANDIDATE.model_copy(update={"initial_lr": 1e6})


@cache
def drawn(size: int, step: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return random points and what is to be learned of them; drawn once, for tests ask for them again and again."""
    x = randomness.normals((size, 4), Place(seed, step, randomness.NOISE))
    return x, x.sum(dim=1, keepdim=True)


class SmallTask(Task):
    """Ten epochs of ten updates; offered under the name that `tests.studies` submits studies of."""

    name = "nothing"
    version = "1"
    metric = "loss"
    further_metrics = ("weight",)
    epochs = 10
    steps_per_epoch = 10
    batch_size = 8

    on_batch: ClassVar[Callable[[int], None] | None] = None
    """Called with the step before each batch."""
    evaluated: ClassVar[list[str]] = []
    """The splits asked for, in order."""

    def model(self, seed: int) -> nn.Module:
        return nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.2), nn.Linear(8, 1))

    def batch(self, step: int, seed: int) -> tuple[Tensor, Tensor]:
        if type(self).on_batch is not None:
            type(self).on_batch(step)
        return drawn(self.batch_size, step, seed)

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        x, y = batch
        return (model(x) - y).square().mean()

    def evaluate(self, model: nn.Module, split: Split) -> dict[str, float]:
        type(self).evaluated.append(split)
        loss = self.loss(model, drawn(64, len(split), 1797))
        weight = sum(float(parameter.abs().sum()) for parameter in model.parameters())
        return {"loss": loss.item(), "weight": weight}


def fresh() -> type[SmallTask]:
    """Return the task with nothing seen yet."""

    class Fresh(SmallTask):
        on_batch = None
        evaluated: ClassVar[list[str]] = []

    return Fresh
