"""On a GPU: the masks of dropout are the CPU's, and a training that was left goes on bit-equal."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import vmap

from search_spaces.candidate import Candidate
from tests.learners import DENSE, learner
from tests.small_task import SmallTask
from workers.dropout import counted, drawing
from workers.training import Training

DEVICE = "cuda"
pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="there is no GPU: what holds on one is not tested"
)


class OnDevice(SmallTask):
    """The small task on the GPU."""

    def __init__(self) -> None:
        super().__init__(device=DEVICE)

    def model(self, seed: int) -> nn.Module:
        return super().model(seed).to(self.device)

    def batch(self, step: int, seed: int) -> tuple[Tensor, Tensor]:
        x, y = super().batch(step, seed)
        return x.to(self.device), y.to(self.device)

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        return super().loss(model, tuple(part.to(self.device) for part in batch))


def training(candidate: Candidate, **options: Any) -> Training:
    """A training of 60 updates."""
    return Training(OnDevice(), candidate, horizon_steps=60, seed=1, **options)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_masks_are_those_of_the_cpu(dtype: torch.dtype) -> None:
    """The same elements are dropped on either device, alone and in a pack."""
    layer = counted(nn.Dropout(0.3))
    x = torch.ones(3, 1000, dtype=dtype)

    with drawing([1, 2, 1], [7, 7, 8]):
        here = vmap(layer)(x)
    with drawing([1, 2, 1], [7, 7, 8]):
        there = vmap(layer.to(DEVICE))(x.to(DEVICE))

    assert torch.equal(here, there.cpu())


@pytest.mark.parametrize("kind", list(DENSE))
def test_resumed_is_bit_equal(kind: str) -> None:
    """Left in the middle and gone on from a state, a training on the GPU ends as one that never stopped."""
    chosen = learner(kind)
    candidate = chosen.model_copy(update={"initial_lr": min(chosen.initial_lr, 0.01)})
    whole, left = training(candidate), training(candidate)
    expected = list(whole.evaluations(lambda: False))
    list(left.evaluations(lambda: left.step == 33))

    resumed = training(candidate, start=left.state())
    evaluations = list(resumed.evaluations(lambda: False))

    assert evaluations == [evaluation for evaluation in expected if evaluation.step > 33]
    assert all(torch.equal(*pair) for pair in zip(resumed.model.parameters(), whole.model.parameters(), strict=True))
