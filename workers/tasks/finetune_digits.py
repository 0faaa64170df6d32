"""The task `finetune-digits`: a network that knows the digits 0 to 4 learns 5 to 9 from few examples.

The convolutions are trained on 0 to 4 first, as a function of the seed; each trial then starts from them with a fresh
linear layer. Backbone and head are parameter groups of their own, so that a study may search the ratio of their
learning rates, as the source article on fine-tuning does by hand (docs/sources.md).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from etude.task import Split

from .. import randomness
from .classification import EpochClassifier, Examples
from .digits import DigitsMlp, load
from .digits_cnn import FEATURES, convolutions
from .digits_noisy import disturbed, fixed

KNOWN = 5
"""The digits below it are known beforehand, the others are to be learnt."""
SHOWN = 160
"""Training images of the digits to be learnt: fine-tuning is for when there are few."""
PRETRAINING_EPOCHS, PRETRAINING_LR, PRETRAINING_BATCH = 40, 3e-3, 60
PRETRAINING = 3
"""Layer of the noise that is drawn beforehand; those below it are taken."""
Weights = dict[str, Tensor]


class FineTuned(nn.Module):
    """Convolutions and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = convolutions()
        self.head = nn.Linear(FEATURES, KNOWN)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of five digits: (n, 64) -> (n, 5)."""
        logits: Tensor = self.head(self.backbone(images))
        return logits


class FinetuneDigits(EpochClassifier):
    """Five new digits from 160 shifted and noisy images, batch 32, judged by the cross-entropy in nats."""

    name = "finetune-digits"
    version = "1"
    epochs = 40
    batch_size = 32
    steps_per_epoch = SHOWN // batch_size
    evaluation_steps = 4 * steps_per_epoch
    parameter_groups = ("backbone", "head")
    epochs_kept = 64

    @classmethod
    def available(cls) -> str | None:
        """Tell whether scikit-learn, which ships the images, is installed."""
        return DigitsMlp.available()

    def model(self, seed: int) -> nn.Module:
        """Return the trained convolutions with a fresh linear layer."""
        model = FineTuned().to(self.device)
        model.backbone.load_state_dict(backbone(seed, self.device))
        return model

    def groups(self, model: nn.Module) -> list[dict[str, Any]]:
        """Return backbone and head."""
        return [{"params": list(getattr(model, name).parameters()), "name": name} for name in self.parameter_groups]

    def examples(self, split: Split) -> list[Examples]:
        """Return the images of 5 to 9 among the fixed draws of a split, as one batch."""
        images, labels = fixed(split, self.device)
        rows = labels >= KNOWN
        return [(images[rows], labels[rows] - KNOWN)]

    def epoch(self, epoch: int, seed: int) -> Examples:
        """Return the training images, shifted and made noisy, in the order of this epoch."""
        images, labels = disturbed("train", self.device, seed=seed, draw=epoch), load("train", self.device)[1]
        rows = (labels >= KNOWN).nonzero().flatten()[:SHOWN]
        order = rows[randomness.permutation(SHOWN, seed=seed, epoch=epoch, device=self.device)]
        return images[order], labels[order] - KNOWN


@lru_cache(maxsize=64)
def backbone(seed: int, device: str) -> Weights:
    """Return the convolutions' weights after training on 0 to 4: a function of the seed, computed once a process."""
    # Weights are drawn on the CPU: the generators of devices are left alone.
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.default_generator.manual_seed(seed)
        model = FineTuned().to(device)
        optimizer = torch.optim.Adam(model.parameters(), lr=PRETRAINING_LR)
        for epoch in range(PRETRAINING_EPOCHS):
            for images, labels in _known(seed, epoch, device):
                optimizer.zero_grad()
                functional.cross_entropy(model(images), labels).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
    return {name: weight.detach().clone() for name, weight in model.backbone.state_dict().items()}


def _known(seed: int, epoch: int, device: str) -> list[Examples]:
    images, labels = disturbed("train", device, seed=seed, draw=epoch, layer=PRETRAINING), load("train", device)[1]
    rows = (labels < KNOWN).nonzero().flatten()
    order = rows[randomness.permutation(len(rows), seed=seed, epoch=epoch, device=device)]
    parts = (torch.split(each[order], PRETRAINING_BATCH) for each in (images, labels))
    return list(zip(*parts, strict=True))
