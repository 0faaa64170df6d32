"""The nights of benchmarks.nights on data: handwritten digits of which there are more each night."""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import nn

from benchmarks.nights import HORIZON, Value
from etude.torch import build
from search_spaces.candidate import Candidate
from workers import randomness
from workers.tasks.digits import load

BATCH = 64
FIRST, MORE = 400, 100
"""Training examples of the first night, and how many more each further night has."""
SWAPPED = (3, 8)


def digits(week: int, night: int, *, swapped: bool) -> Value:
    """The network of digits-mlp over 50 updates, judged by its validation loss; each week has an order of its own."""
    images, labels = load("train", "cpu")
    order = randomness.permutation(len(labels), seed=1000 + week, epoch=0)[: FIRST + MORE * night]
    data = images[order], _labels(labels[order], swapped)
    checked = load("validation", "cpu")[0], _labels(load("validation", "cpu")[1], swapped)

    @cache
    def by_text(text: str, seed: int) -> float:
        return _train(Candidate.model_validate_json(text), 100 * week + seed, data, checked)

    return lambda candidate, seed: by_text(candidate.model_dump_json(), seed)


def _labels(labels: torch.Tensor, swapped: bool) -> torch.Tensor:
    first, second = SWAPPED
    if not swapped:
        return labels
    return torch.where(labels == first, second, torch.where(labels == second, first, labels))


Examples = tuple[torch.Tensor, torch.Tensor]


def _train(candidate: Candidate, seed: int, data: Examples, checked: Examples) -> float:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10))
    optimizer, scheduler = build(candidate, model.parameters(), total_steps=HORIZON)
    dice = torch.Generator().manual_seed(seed)
    for _ in range(HORIZON):
        rows = torch.randint(len(data[1]), (BATCH,), generator=dice)
        loss = nn.functional.cross_entropy(model(data[0][rows]), data[1][rows])
        if not math.isfinite(loss.item()):
            return math.nan
        loss.backward()
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
    with torch.no_grad():
        return float(nn.functional.cross_entropy(model(checked[0]), checked[1]))
