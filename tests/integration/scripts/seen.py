"""What updates did, looked at by a script itself: SGD moves a parameter whose gradient is 1 by the LR in force."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch


def parameter() -> torch.Tensor:
    """One number in float64, small beside nothing: its moves are exact to 1e-16."""
    return torch.zeros((), dtype=torch.float64, requires_grad=True)


class Seen:
    """The LR of every update so far, a list of the moves of its parameters."""

    def __init__(self) -> None:
        self.moves: list[list[float]] = []

    @contextmanager
    def update(self, *parameters: torch.Tensor) -> Iterator[None]:
        """Note how far these have moved in the block, if they have moved at all or `None` was the LR."""
        before = [one.item() for one in parameters]
        yield
        self.moves.append([was - one.item() for was, one in zip(before, parameters, strict=True)])

    def write(self) -> None:
        """Say it to the test, when the script is a process of its own."""
        if place := os.environ.get("SEEN"):
            Path(f"{place}.{os.environ.get('RANK', '0')}").write_text(json.dumps(self.moves))
