"""The task `noisy-quadratic`: a bowl with noisy gradients, trained in a blink, whose best schedule for SGD is known.

The d coordinates have the curvatures 1/i and gradients with noise of the variance h_i / B, as in G. Zhang et al.,
arXiv:1907.04164. 64 copies of the bowl are trained at once on noise of their own; their mean loss is close to the
expected one, which `problem(params).losses(rates)` gives exactly for SGD. Nothing here rewards a warm-up: curvature
never changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from etude.task import Split, Task
from search_spaces.model import Model

from .. import randomness
from ..quadratic import Quadratic
from ..randomness import Place

COPIES = 64
EPOCHS_KEPT = 64


class QuadraticParams(Model):
    """What a study may set."""

    examples: Annotated[int, Field(ge=1, le=1_000_000)] = 2
    """B, the examples of a batch: the variance of the noise is divided by it."""
    dimensions: Annotated[int, Field(ge=1, le=10_000)] = 100


def problem(params: QuadraticParams | None = None) -> Quadratic:
    """Return the problem with these parameters, for its expected losses and its best schedule."""
    params = params or QuadraticParams()
    curvatures = 1.0 / np.arange(1, params.dimensions + 1)
    return Quadratic(curvatures, curvatures / params.examples, np.ones(params.dimensions))


@lru_cache(maxsize=8)
def _least_loss(examples: int, dimensions: int, steps: int) -> float:
    made = problem(QuadraticParams(examples=examples, dimensions=dimensions))
    return float(made.losses(made.optimal(steps))[-1])


class Bowl(nn.Module):
    """64 points, all of whose coordinates are 1 at the start."""

    def __init__(self, curvatures: Tensor) -> None:
        super().__init__()
        self.points = nn.Parameter(torch.ones(COPIES, len(curvatures), dtype=torch.float64))
        self.register_buffer("curvatures", curvatures, persistent=False)
        self.curvatures: Tensor

    def forward(self, noise: Tensor) -> Tensor:
        """Return the loss of each copy, tilted by the noise of its gradient: (64, d) -> (64,) float64."""
        return (self.curvatures * self.points.square() / 2 + noise * self.points).sum(dim=1)


class NoisyQuadratic(Task):
    """The noisy quadratic model over 200 updates, in float64."""

    name = "noisy-quadratic"
    version = "1"
    Params = QuadraticParams
    params: QuadraticParams
    metric = "loss"
    epochs = 10
    steps_per_epoch = 20
    batch_size = COPIES
    precision = "float64"
    has_test_split = False

    def __init__(self, params: Mapping[str, Any] | None = None, device: str = "cpu") -> None:
        """Keep the noise of the last epochs: trials of one search share their seed, and so their noise."""
        super().__init__(params, device)
        self._noise = lru_cache(maxsize=EPOCHS_KEPT)(self._draw_noise)
        made = problem(self.params)
        self._curvatures, self._deviations = (
            torch.from_numpy(each).to(device) for each in (made.curvatures, np.sqrt(made.variances))
        )

    def model(self, seed: int) -> nn.Module:  # noqa: ARG002 -- every training starts from the same points
        """Return the copies at their start."""
        return Bowl(self._curvatures).to(self.device)

    def batch(self, step: int, seed: int) -> Tensor:
        """Return the noise of an update's gradients: (64, d) float64."""
        epoch, place = divmod(step, self.steps_per_epoch)
        return self._noise(epoch, seed)[place]

    def loss(self, model: nn.Module, batch: Tensor) -> Tensor:
        """Return the sum over the copies, so that each copy's gradient is its own."""
        losses: Tensor = model(batch)
        return losses.sum()

    def examples(self, split: Split) -> list[Tensor]:  # noqa: ARG002 -- a bowl has no splits
        """Return a batch without noise."""
        return [torch.zeros(COPIES, len(self._curvatures), dtype=torch.float64, device=self.device)]

    def metrics(self, model: nn.Module, batch: Tensor) -> dict[str, Tensor]:
        """Return the mean loss of the copies."""
        return {"loss": model(batch).mean()}

    def optimum(self, steps: int) -> float:
        """Return the least loss to expect of any schedule with SGD, without momentum and with LRs up to 2."""
        return _least_loss(self.params.examples, self.params.dimensions, steps)

    def _draw_noise(self, epoch: int, seed: int) -> Tensor:
        shape = (self.steps_per_epoch, COPIES, len(self._curvatures))
        noise = randomness.normals(shape, Place(seed, epoch, randomness.NOISE), self.device)
        return noise * self._deviations
