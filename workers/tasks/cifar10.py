"""CIFAR-10: 60,000 colour images of 32 x 32 in ten classes (A. Krizhevsky, 2009), and a small residual network."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from search_spaces.model import Model

from .. import randomness
from ..randomness import Place
from .images import ImageTask

WIDTHS = (16, 32, 64)
GROUPS = 8
"""Of a GroupNorm."""
MARGIN = 4
"""Pixels by which a training image may be shifted each way."""
ROW, COLUMN, FLIP = range(3)
"""Layers of the stream of shifts."""

Norm = Literal["group", "batch"]


class CifarParams(Model):
    """What a study may set."""

    norm: Norm = "group"
    """GroupNorm (Y. Wu and K. He, arXiv:1803.08494) or BatchNorm after each convolution."""


class Cifar10Resnet(ImageTask):
    """ResNet-8 on randomly shifted and flipped images, batch 128."""

    name = "cifar10-resnet"
    version = "1"
    Params = CifarParams
    params: CifarParams
    epochs = 15
    batch_size = 128
    steps_per_epoch = 45_000 // batch_size

    data_set = "CIFAR10"
    fetched_as = "cifar10"
    files = tuple(f"cifar-10-batches-py/{name}" for name in (*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"))
    shape = (3, 32, 32)
    counts = (50_000, 10_000)
    validation_share = 10
    mean = (0.4914, 0.4822, 0.4465)
    deviation = (0.2470, 0.2435, 0.2616)

    def model(self, seed: int) -> nn.Module:  # noqa: ARG002 -- torch is seeded by the caller
        """Return the network: (n, 3, 32, 32) -> (n, 10)."""
        return resnet(self.params.norm, self.classes).to(self.device)

    def disturbed(self, images: Tensor, step: int, seed: int) -> Tensor:
        """Shift each image by up to four pixels each way, zeros moving in, and mirror every second one."""
        count, _, height, width = images.shape
        row, column, flip = (
            randomness.integers(bound, count, Place(seed, step, randomness.SHIFT, layer), images.device)
            for layer, bound in ((ROW, 2 * MARGIN + 1), (COLUMN, 2 * MARGIN + 1), (FLIP, 2))
        )
        across = torch.arange(width, device=images.device).expand(count, width)
        columns = column[:, None] + torch.where(flip[:, None] == 1, across.flip(1), across)
        rows = row[:, None] + torch.arange(height, device=images.device)
        padded = functional.pad(images, (MARGIN, MARGIN, MARGIN, MARGIN))
        each = torch.arange(count, device=images.device)[:, None, None]
        shown = padded.permute(0, 2, 3, 1)[each, rows[:, :, None], columns[:, None, :]]
        return shown.permute(0, 3, 1, 2).contiguous()


def resnet(norm: Norm, classes: int) -> nn.Module:
    """Return the smallest network of K. He et al., arXiv:1512.03385, section 4.2 (n = 1): 8 layers with weights."""
    before = (WIDTHS[0], *WIDTHS[:-1])
    blocks = (Block(inner, outer, norm) for inner, outer in zip(before, WIDTHS, strict=True))
    stem = nn.Conv2d(3, WIDTHS[0], 3, padding=1, bias=False)
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(WIDTHS[-1], classes))
    return nn.Sequential(stem, normalisation(norm, WIDTHS[0]), nn.ReLU(), *blocks, *head)


def normalisation(norm: Norm, channels: int) -> nn.Module:
    """Return the layer that follows a convolution."""
    return nn.GroupNorm(GROUPS, channels) if norm == "group" else nn.BatchNorm2d(channels)


class Block(nn.Module):
    """Two convolutions beside a shortcut; the first halves height and width where the channels grow."""

    def __init__(self, inner: int, outer: int, norm: Norm) -> None:
        super().__init__()
        stride = 1 if inner == outer else 2
        self.body = nn.Sequential(
            nn.Conv2d(inner, outer, 3, stride=stride, padding=1, bias=False),
            normalisation(norm, outer),
            nn.ReLU(),
            nn.Conv2d(outer, outer, 3, padding=1, bias=False),
            normalisation(norm, outer),
        )
        self.shortcut: nn.Module = nn.Identity()
        if inner != outer:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inner, outer, 1, stride=stride, bias=False), normalisation(norm, outer)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Return (n, outer, height / stride, width / stride)."""
        return functional.relu(self.body(x) + self.shortcut(x))
