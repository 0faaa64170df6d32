"""Handwritten digits: 1,797 real 8x8 images, and the task `digits-mlp`.

The images are those of scikit-learn's `load_digits` (E. Alpaydin and C. Kaynak, "Optical recognition of
handwritten digits", UCI Machine Learning Repository, 1998), split once and for all 1077/360/360. A smoke test
more than a benchmark: over 30 epochs its seeds differ by more than its best candidates do.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from etude.task import Split, Task

from .. import randomness
from .classification import classified

SPLIT_SEED = 1797
SIZES: dict[Split, int] = {"train": 1077, "validation": 360, "test": 360}
CLASSES = 10

Examples = tuple[Tensor, Tensor]
"""Images (n, 64) float32 on the [0, 1] scale, and labels (n,) int64."""


@cache
def load(split: Split, device: str) -> Examples:
    """Return one split of the digits, on the device."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = torch.tensor(digits.data / 16, dtype=torch.float32)
    labels = torch.tensor(digits.target, dtype=torch.int64)
    order = randomness.permutation(len(labels), seed=SPLIT_SEED, epoch=0)
    rows = dict(zip(SIZES, torch.split(order, list(SIZES.values())), strict=True))[split]
    return images[rows].to(device), labels[rows].to(device)


class DigitsMlp(Task):
    """A 64-128-128-10 network on the clean images, batch 64, judged by its cross-entropy in nats."""

    name = "digits-mlp"
    version = "1"
    metric = "loss"
    further_metrics = ("accuracy",)
    epochs = 30
    batch_size = 64
    steps_per_epoch = -(-SIZES["train"] // batch_size)
    partial_batch = True

    def __init__(self, params: Mapping[str, Any] | None = None, device: str = "cpu") -> None:
        """Keep the last epochs drawn: trials of one search share their seed, and so their epochs (9 MB)."""
        super().__init__(params, device)
        self._epoch = lru_cache(maxsize=32)(self.epoch)

    @classmethod
    def available(cls) -> str | None:
        """Tell whether scikit-learn, which ships the images, is installed."""
        missing = importlib.util.find_spec("sklearn") is None
        return "scikit-learn is not installed: pip install scikit-learn" if missing else None

    def model(self, seed: int) -> nn.Module:  # noqa: ARG002 -- torch is seeded by the caller
        """Return the network, initialised as torch does."""
        return nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, CLASSES)).to(
            self.device
        )

    def batch(self, step: int, seed: int) -> Examples:
        """Return 64 training examples; the last batch of an epoch has the 53 that are left."""
        epoch, place = divmod(step, self.steps_per_epoch)
        rows = slice(place * self.batch_size, (place + 1) * self.batch_size)
        images, labels = self._epoch(epoch, seed)
        return images[rows], labels[rows]

    def loss(self, model: nn.Module, batch: Examples) -> Tensor:
        """Return the mean cross-entropy of a batch, in nats."""
        images, labels = batch
        return functional.cross_entropy(model(images), labels)

    def metrics(self, model: nn.Module, batch: Examples) -> dict[str, Tensor]:
        """Return the mean cross-entropy (nats) and the share of images named rightly."""
        images, labels = batch
        return classified(model(images), labels)

    def epoch(self, epoch: int, seed: int) -> Examples:
        """Return the training split in the order of this epoch."""
        images, labels = load("train", self.device)
        order = randomness.permutation(len(labels), seed=seed, epoch=epoch, device=self.device)
        return images[order], labels[order]

    def examples(self, split: Split) -> list[Examples]:
        """Return the whole split as one batch."""
        return [load(split, self.device)]
