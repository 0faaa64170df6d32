"""Handwritten digits: 1,797 real 8x8 images, and the task `digits-mlp`.

The images are those of scikit-learn's `load_digits` (E. Alpaydin and C. Kaynak, "Optical recognition of
handwritten digits", UCI Machine Learning Repository, 1998), split once and for all 1077/360/360. A smoke test
more than a benchmark: over 30 epochs its seeds differ by more than its best candidates do.
"""

from __future__ import annotations

import importlib.util
from functools import cache

import torch
from torch import nn

from etude.task import Split

from .. import randomness
from .classification import EpochClassifier, Examples

SPLIT_SEED = 1797
SIZES: dict[Split, int] = {"train": 1077, "validation": 360, "test": 360}
CLASSES = 10


@cache
def load(split: Split, device: str) -> Examples:
    """Return one split, on the device: images (n, 64) float32 on the [0, 1] scale, and labels (n,) int64."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = torch.tensor(digits.data / 16, dtype=torch.float32)
    labels = torch.tensor(digits.target, dtype=torch.int64)
    order = randomness.permutation(len(labels), seed=SPLIT_SEED, epoch=0)
    rows = dict(zip(SIZES, torch.split(order, list(SIZES.values())), strict=True))[split]
    return images[rows].to(device), labels[rows].to(device)


class DigitsMlp(EpochClassifier):
    """A 64-128-128-10 network on the clean images, batch 64, judged by its cross-entropy in nats."""

    name = "digits-mlp"
    version = "1"
    epochs = 30
    batch_size = 64
    steps_per_epoch = -(-SIZES["train"] // batch_size)
    partial_batch = True
    epochs_kept = 32  # 9 MB

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

    def epoch(self, epoch: int, seed: int) -> Examples:
        """Return the training split in the order of this epoch."""
        images, labels = load("train", self.device)
        order = randomness.permutation(len(labels), seed=seed, epoch=epoch, device=self.device)
        return images[order], labels[order]

    def examples(self, split: Split) -> list[Examples]:
        """Return the whole split as one batch."""
        return [load(split, self.device)]
