"""Classifiers of images that fit in memory: read once by torchvision, kept as bytes on the device."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from etude.task import Split, Task

from .. import randomness
from ..vision import torchvision
from .classification import classified
from .data_sets import DataSettings, lacking

Pixels = tuple[Tensor, Tensor]
"""Images (n, channels, height, width) uint8, and labels (n,) int64."""
Examples = tuple[Tensor, Tensor]
"""Images (n, channels, height, width) float32, normalised, and labels (n,) int64."""

SPLIT_SEED = 1998
VALIDATION_SHARE = 12
"""One training image in so many is kept for validation: 5,000 of MNIST's 60,000."""
EVALUATED_AT_ONCE = 500
EPOCHS_KEPT = 8
BLOCKS = 4
"""Across a synthetic image, and down."""


class ImageTask(Task):
    """A classifier judged by its cross-entropy in nats. Each epoch leaves out the images of an incomplete batch."""

    metric = "loss"
    further_metrics = ("accuracy",)
    batch_size = 64

    data_set: ClassVar[str]
    """torchvision's class."""
    fetched_as: ClassVar[str]
    """What `python -m workers.tasks.fetch` calls the data set."""
    files: ClassVar[tuple[str, ...]]
    """Under torchvision's root."""
    shape: ClassVar[tuple[int, int, int]]
    """Channels, height and width."""
    counts: ClassVar[tuple[int, int]]
    """Images for training and validation together, and for the test."""
    classes: ClassVar[int] = 10
    validation_share: ClassVar[int] = VALIDATION_SHARE
    mean: ClassVar[tuple[float, ...]]
    """Of each channel, on the [0, 1] scale; so is `deviation`."""
    deviation: ClassVar[tuple[float, ...]]

    def __init__(self, params: Mapping[str, Any] | None = None, device: str = "cpu") -> None:
        """Keep the last epochs drawn: trials of one search share their seed, and so their epochs."""
        super().__init__(params, device)
        self._order = lru_cache(maxsize=EPOCHS_KEPT)(self._draw_order)
        self._mean, self._deviation = (
            255 * torch.tensor(each, device=device).view(-1, 1, 1) for each in (self.mean, self.deviation)
        )

    @classmethod
    def available(cls) -> str | None:
        """Tell whether torchvision and the data set's files are there."""
        return lacking(cls.files, cls.fetched_as)

    @classmethod
    def read(cls, *, train: bool) -> Pixels:
        """Read the training images or the test images from their files."""
        kind = getattr(torchvision("datasets"), cls.data_set)
        read = kind(str(DataSettings().root), train=train, download=False)
        images = torch.as_tensor(np.asarray(read.data))
        # MNIST's images come without a channel, CIFAR's with the channels last.
        images = images.unsqueeze(1) if images.dim() == 3 else images.permute(0, 3, 1, 2).contiguous()
        return images, torch.as_tensor(np.asarray(read.targets)).long()

    def batch(self, step: int, seed: int) -> Examples:
        """Return 64 (or `batch_size`) training images, disturbed as `disturbed` does."""
        epoch, place = divmod(step, self.steps_per_epoch)
        images, labels = load(type(self), "train", self.device)
        places = torch.arange(place * self.batch_size, (place + 1) * self.batch_size) % len(labels)
        rows = self._order(epoch, seed)[places]
        return self._normalised(self.disturbed(images[rows], step, seed)), labels[rows]

    def disturbed(self, images: Tensor, step: int, seed: int) -> Tensor:  # noqa: ARG002 -- for tasks that do disturb
        """Return the images of a training batch, (n, channels, height, width) uint8, as this step shows them."""
        return images

    def loss(self, model: nn.Module, batch: Examples) -> Tensor:
        """Return the mean cross-entropy of a batch, in nats."""
        images, labels = batch
        return functional.cross_entropy(model(images), labels)

    def examples(self, split: Split) -> Iterator[Examples]:
        """Return the images of a split, 500 at a time."""
        images, labels = load(type(self), split, self.device)
        parts = (torch.split(each, EVALUATED_AT_ONCE) for each in (images, labels))
        for part, named in zip(*parts, strict=True):
            yield self._normalised(part), named

    def metrics(self, model: nn.Module, batch: Examples) -> dict[str, Tensor]:
        """Return the mean cross-entropy (nats) and the share of images named rightly."""
        images, labels = batch
        return classified(model(images), labels)

    def _normalised(self, images: Tensor) -> Tensor:
        return (images - self._mean) / self._deviation

    def _draw_order(self, epoch: int, seed: int) -> Tensor:
        _, labels = load(type(self), "train", self.device)
        return randomness.permutation(len(labels), seed=seed, epoch=epoch, device=self.device)


@cache
def load(task: type[ImageTask], split: Split, device: str) -> Pixels:
    """Return one split on the device; the training images are divided once and for all."""
    images, labels = task.read(train=split != "test")
    if split != "test":
        order = randomness.permutation(len(labels), seed=SPLIT_SEED, epoch=0)
        kept = len(labels) // task.validation_share
        rows = order[:kept] if split == "validation" else order[kept:]
        images, labels = images[rows], labels[rows]
    return images.to(device), labels.to(device)


def synthetic(task: type[ImageTask], seed: int = 0) -> type[ImageTask]:
    """Return the task on synthetic images of the same number and shape, for benchmarks of speed alone.

    Each class has a pattern of 4 x 4 blocks, half visible under noise. Nothing offers it, and its name says what it is.
    """

    class Synthetic(task):  # type: ignore[valid-type,misc]
        name = f"{task.name}-synthetic"
        version = "synthetic"

        @classmethod
        def available(cls) -> None:
            """Be at hand."""

        @classmethod
        def read(cls, *, train: bool) -> Pixels:
            return _drawn(cls, train=train, seed=seed)

    return Synthetic


def _drawn(task: type[ImageTask], *, train: bool, seed: int) -> Pixels:
    count = task.counts[0 if train else 1]
    channels, *sides = task.shape
    coarse = np.random.default_rng(seed).integers(0, 128, (task.classes, channels, BLOCKS, BLOCKS), dtype=np.uint8)
    shown = coarse.repeat(sides[0] // BLOCKS, axis=2).repeat(sides[1] // BLOCKS, axis=3)
    drawn = np.random.default_rng((seed, int(train)))
    labels = drawn.integers(0, task.classes, count)
    noise = drawn.integers(0, 128, (count, *task.shape), dtype=np.uint8)
    return torch.from_numpy(noise + shown[labels]), torch.from_numpy(labels)
