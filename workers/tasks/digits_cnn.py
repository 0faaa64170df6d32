"""The task `digits-cnn`: a small convolutional network on the shifted and noisy digits of `digits-noisy`."""

from __future__ import annotations

from torch import nn

from .digits import CLASSES
from .digits_noisy import DigitsNoisy

FEATURES = 64
"""Numbers that the convolutions make of an image: 16 channels of 2 x 2."""


def convolutions() -> nn.Sequential:
    """Return two convolutions, each halving the image: (n, 64) -> (n, 64), a row being an 8 x 8 image."""
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)),
        nn.Conv2d(1, 8, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
    )


class DigitsCnn(DigitsNoisy):
    """Two convolutions and a linear layer, batch 64."""

    name = "digits-cnn"
    version = "1"

    def model(self, seed: int) -> nn.Module:  # noqa: ARG002 -- torch is seeded by the caller
        """Return the network, initialised as torch does."""
        return nn.Sequential(*convolutions(), nn.Linear(FEATURES, CLASSES)).to(self.device)
