"""What every classifier is judged by, and what those that keep whole epochs of examples have in common."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional

from etude.task import Task

Examples = tuple[Tensor, Tensor]
"""Inputs (n, ...) float32, and labels (n,) int64."""


class EpochClassifier(Task):
    """A classifier judged by its cross-entropy in nats, whose batches are cut out of epochs that are drawn whole."""

    metric = "loss"
    further_metrics = ("accuracy",)
    epochs_kept: ClassVar[int]
    """As many as were drawn last: trials of one search share their seed, and so their epochs."""

    def __init__(self, params: Mapping[str, Any] | None = None, device: str = "cpu") -> None:
        """Keep the last epochs drawn."""
        super().__init__(params, device)
        self._epoch = lru_cache(maxsize=self.epochs_kept)(self.epoch)

    def epoch(self, epoch: int, seed: int) -> Examples:
        """Return the training examples in the order of this epoch."""
        raise NotImplementedError

    def batch(self, step: int, seed: int) -> Examples:
        """Return `batch_size` training examples; the last batch of an epoch has what is left."""
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


def classified(logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Return the mean cross-entropy in nats and the share named rightly: (n, classes), (n,) -> two scalars."""
    hits = logits.argmax(dim=1) == labels
    return {"loss": functional.cross_entropy(logits, labels), "accuracy": hits.float().mean()}
