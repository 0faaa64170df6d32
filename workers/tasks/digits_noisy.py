"""The task `digits-noisy`: the digits with fresh noise at every step, so that they are never fitted.

Each training image is shifted by up to one pixel each way and given Gaussian noise, anew in every epoch; the
validation and test splits are two fixed draws of the same. Measured over 30 epochs, two seeds of one candidate
differ by a standard deviation of 0.018 where the best quarter of candidates spreads over 0.086: schedules can be
told apart.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from etude.task import Split

from .. import randomness
from ..randomness import Place
from .classification import Examples
from .digits import SIZES, SPLIT_SEED, DigitsMlp, load

NOISE = 0.35
"""Standard deviation of the noise, on the [0, 1] scale of the images."""
SHIFTS = 9
"""Up to one pixel each way: 3 x 3 positions."""
FIXED_DRAWS = 2


@cache
def shifted(split: Split, device: str) -> Tensor:
    """Return a split's images at each of the nine positions: (9, n, 64) float32; pixels moved in are 0."""
    images, _ = load(split, device)
    padded = functional.pad(images.view(-1, 8, 8), (1, 1, 1, 1))
    views = [padded[:, row : row + 8, column : column + 8] for row in range(3) for column in range(3)]
    return torch.stack(views).flatten(2)


def disturbed(split: Split, device: str, *, seed: int, draw: int, layer: int = 0) -> Tensor:
    """Return a split's images (n, 64), shifted and noisy as (seed, draw, layer) decides."""
    images = shifted(split, device)
    count = images.shape[1]
    position = randomness.integers(SHIFTS, count, Place(seed, draw, randomness.SHIFT, layer), device)
    noise = randomness.normals((count, 64), Place(seed, draw, randomness.NOISE, layer), device)
    return torch.add(images[position, torch.arange(count, device=device)], noise, alpha=NOISE)


@cache
def fixed(split: Split, device: str) -> Examples:
    """Return the split as it is judged: two draws that never change, (2n, 64)."""
    layer = list(SIZES).index(split)
    draws = [disturbed(split, device, seed=SPLIT_SEED, draw=draw, layer=layer) for draw in range(FIXED_DRAWS)]
    _, labels = load(split, device)
    return torch.cat(draws), labels.repeat(FIXED_DRAWS)


class DigitsNoisy(DigitsMlp):
    """The network of `digits-mlp` on shifted and noisy images."""

    name = "digits-noisy"
    version = "1"

    def epoch(self, epoch: int, seed: int) -> Examples:
        """Return the training split of this epoch: its order, shifts and noise."""
        images = disturbed("train", self.device, seed=seed, draw=epoch)
        _, labels = load("train", self.device)
        order = randomness.permutation(len(labels), seed=seed, epoch=epoch, device=self.device)
        return images[order], labels[order]

    def examples(self, split: Split) -> list[Examples]:
        """Return the two fixed draws of a split as one batch."""
        return [fixed(split, self.device)]
