"""Picture files as tensors: what a DataLoader's processes read, cut out and normalise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from .. import randomness
from ..randomness import Place
from ..vision import torchvision

Sample = tuple[str, int]
"""A file's path, and its label."""
Picture = tuple[Tensor, int]
"""(3, size, size) float32, normalised, and its label."""

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's channels: what torchvision's weights expect."""
LEAST_SHARE = 0.25
"""Of a picture's area, in what is cut out of it for training."""
LONGEST_SIDE = 4 / 3
"""Of what is cut out, as a multiple of the other side."""
AREA, ASPECT, ROW, COLUMN, FLIP = range(5)
"""Layers of the stream of cuts."""
WORDS = 2**32


class Pictures(Dataset[Picture]):
    """Pictures by place. With a seed, a part of each is cut out and every second one mirrored, as seed and epoch say.

    Without one the middle of each is shown whole. What is cut depends on the place alone, in whatever process.
    """

    def __init__(self, samples: Sequence[Sample], size: int, *, seed: int | None = None, epoch: int = 0) -> None:
        self._samples = samples
        self._size = size
        self._cuts = None if seed is None else drawn_cuts(len(samples), seed, epoch)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._samples)

    def __getitem__(self, place: int) -> Picture:
        """Read, cut and normalise one."""
        path, label = self._samples[place]
        picture = torchvision("datasets.folder").default_loader(path)
        shown = self._middle(picture) if self._cuts is None else self._cut(picture, self._cuts[place].tolist())
        acts = torchvision("transforms.functional")
        return acts.normalize(acts.to_tensor(shown), MEAN, DEVIATION), label

    def _middle(self, picture: Any) -> Any:
        acts = torchvision("transforms.functional")
        return acts.center_crop(acts.resize(picture, self._size), [self._size, self._size])

    def _cut(self, picture: Any, numbers: list[float]) -> Any:
        acts = torchvision("transforms.functional")
        width, height = picture.size
        box = cut_of(height, width, numbers)
        cut = acts.resized_crop(picture, *box, [self._size, self._size])
        return acts.hflip(cut) if numbers[FLIP] < 0.5 else cut


def drawn_cuts(count: int, seed: int, epoch: int) -> Tensor:
    """Return for each picture five numbers uniform on [0, 1): (count, 5) float64."""
    places = (Place(seed, epoch, randomness.SHIFT, layer) for layer in range(FLIP + 1))
    return torch.stack([randomness.words(count, place).double() / WORDS for place in places], dim=1)


def cut_of(height: int, width: int, numbers: Sequence[float]) -> tuple[int, int, int, int]:
    """Return top, left, height and width (pixels) of what is cut out.

    Its area is uniform between a quarter and all of the picture's; its sides' ratio is log-uniform between 3/4 and
    4/3, as in C. Szegedy et al., arXiv:1409.4842, section 6; a side that would be longer than the picture's is its.

    >>> cut_of(100, 100, [1.0, 0.5, 0.0, 0.0, 0.9])
    (0, 0, 100, 100)
    """
    area = height * width * (LEAST_SHARE + (1 - LEAST_SHARE) * numbers[AREA])
    ratio = math.exp((2 * numbers[ASPECT] - 1) * math.log(LONGEST_SIDE))
    rows = min(height, max(1, round(math.sqrt(area / ratio))))
    columns = min(width, max(1, round(math.sqrt(area * ratio))))
    return int(numbers[ROW] * (height - rows + 1)), int(numbers[COLUMN] * (width - columns + 1)), rows, columns
