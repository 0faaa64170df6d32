"""The running averages of a pack's trials: the rows of `workers.averaging`, moved together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..averaging import Pace
from .layout import Layout


@dataclass(frozen=True)
class AverageRow:
    """One trial's averages by themselves, each begun at 0."""

    parameters: Tensor
    """(averages, P)"""
    buffers: Mapping[str, Tensor]
    """(averages, *shape) each; those with fractions only."""

    @classmethod
    def joined(cls, saved: Sequence[Mapping[str, Any]], layout: Layout, like: Tensor) -> AverageRow:
        """Make a row of averages by name, on the device of `like`."""
        names = set(layout.names)
        flat = torch.stack([layout.join([one[name] for name in layout.names], like) for one in saved])
        buffers = {
            name: torch.stack([one[name].to(like.device) for one in saved]) for name in saved[0] if name not in names
        }
        return cls(flat, buffers)

    def by_name(self, layout: Layout) -> list[dict[str, Any]]:
        """Return each average by name, on the CPU."""
        return [
            {name: value.to("cpu", copy=True) for name, value in zip(layout.names, layout.split(flat), strict=True)}
            | {name: buffer[place].to("cpu", copy=True) for name, buffer in self.buffers.items()}
            for place, flat in enumerate(self.parameters)
        ]


class PackedAverages:
    """The averages of k rows; those that keep none have zeros."""

    def __init__(self, rows: Sequence[AverageRow | None], flat: Tensor, buffers: Mapping[str, Tensor]) -> None:
        self._count = max(len(row.parameters) for row in rows if row is not None)
        self._flat = flat.new_zeros(self._count, *flat.shape)
        self._buffers = {
            name: buffer.new_zeros(self._count, *buffer.shape)
            for name, buffer in buffers.items()
            if buffer.is_floating_point()
        }
        for place, row in enumerate(rows):
            if row is not None:
                self._flat[:, place] = row.parameters
                for name, buffer in self._buffers.items():
                    buffer[:, place] = row.buffers[name]

    @classmethod
    def of(
        cls, rows: Sequence[AverageRow | None], flat: Tensor, buffers: Mapping[str, Tensor]
    ) -> PackedAverages | None:
        """Return the averages of rows beside their values (k, P) and buffers (k, *shape); None where none keeps any."""
        return cls(rows, flat, buffers) if any(row is not None for row in rows) else None

    @torch.no_grad()
    def follow(
        self, paces: Sequence[Pace | None], steps: Sequence[int], flat: Tensor, buffers: Mapping[str, Tensor]
    ) -> None:
        """Move the rows whose time it is after their updates `steps` towards their present values."""
        due = [pace is not None and pace.is_due(step) for pace, step in zip(paces, steps, strict=True)]
        if not any(due):
            return
        moves = [
            [1 - decay for decay in pace.decays] if pace is not None and now else [0.0] * self._count
            for pace, now in zip(paces, due, strict=True)
        ]
        for place in range(self._count):
            shares = [move[place] for move in moves]
            _move(self._flat[place], flat, shares)
            for name, buffer in self._buffers.items():
                _move(buffer[place], buffers[name], shares)

    def scaled(
        self, places: Sequence[int], scales: Sequence[Sequence[float]]
    ) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
        """Give each average of some rows, scaled by `scales` (rows, averages): parameters (rows, P) and buffers.

        A row whose averages have not moved yet has no scales; it is given as it is, of no use.
        """
        index = torch.tensor(places, device=self._flat.device)
        for place in range(self._count):
            factors = [scale[place] if scale else 1.0 for scale in scales]
            yield (
                _scaled(self._flat[place][index], factors),
                {name: _scaled(buffer[place][index], factors) for name, buffer in self._buffers.items()},
            )

    def row(self, place: int) -> AverageRow:
        """Return a copy of one row's."""
        return AverageRow(
            self._flat[:, place].clone(), {name: buffer[:, place].clone() for name, buffer in self._buffers.items()}
        )


def _move(average: Tensor, values: Tensor, shares: Sequence[float]) -> None:
    if len(set(shares)) == 1:  # as in a study, whose trials have one horizon and go in step
        average.lerp_(values, shares[0])
    else:
        average.lerp_(values, _column(shares, average))


def _scaled(values: Tensor, factors: Sequence[float]) -> Tensor:
    return values * _column(factors, values)


def _column(numbers: Sequence[float], like: Tensor) -> Tensor:
    """Shape one number a row so that it spreads over the row: (k, 1, ...)."""
    column = torch.tensor(numbers, dtype=torch.float64, device=like.device).to(like.dtype)
    return column.view(-1, *[1] * (like.ndim - 1))
