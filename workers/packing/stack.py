"""The trials of a pack side by side: parameters, buffers and optimizers, a row each, while all of them stay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import NamedTuple

import torch
from torch import Tensor

from search_spaces.optimizers import Optimizer

from ..averaging import Pace
from .averages import AverageRow, PackedAverages
from .layout import Layout, NotPackable
from .optimizers import PackedOptimizer, group_key
from .stacked import Batch, Stacked
from .ways import Computation


@dataclass(frozen=True)
class Row:
    """One trial's part of a stack, by itself."""

    spec: Optimizer
    parameters: Tensor
    """(P,)"""
    buffers: Mapping[str, Tensor]
    optimizer: Mapping[str, Tensor] = field(default_factory=dict)
    """As `PackedOptimizer.state` gives it; empty before the first update."""
    averages: AverageRow | None = None
    """Where the trial is judged by averages of its weights."""


class _Group(NamedTuple):
    """Neighbouring rows that one optimizer updates."""

    rows: slice
    optimizer: PackedOptimizer


class Stack:
    """k rows, those of one kind of optimizer next to each other."""

    def __init__(self, layout: Layout, computation: Computation, rows: Sequence[Row]) -> None:
        """Copy the rows into one; they have to be in the order of `sort_key`."""
        self._layout = layout
        self._computation = computation
        self._specs = [row.spec for row in rows]
        self._flat = torch.stack([row.parameters for row in rows])
        self._gradients = torch.zeros_like(self._flat)
        self._gradient_views = layout.views(self._gradients)
        buffers = {name: torch.stack([row.buffers[name] for row in rows]) for name in rows[0].buffers}
        self.stacked = Stacked(layout.views(self._flat), buffers)
        self._groups = list(_grouped(rows, layout.columns))
        self._averages = PackedAverages.of([row.averages for row in rows], self._flat, buffers)
        self.is_torn = False
        """Whether an update failed half way, so that rows are of no use any more."""

    def __len__(self) -> int:
        return len(self._specs)

    def update(self, batch: Batch, lrs: Tensor) -> Tensor:
        """Make one update of every row and return the losses before it.

        Args:
            batch: for the rows, in their order.
            lrs: (k, 1), or (k, P) where parameters of a row have different ones; float64.
        """
        self.is_torn = bool(self.stacked.buffers)  # a forward pass may write to them
        losses, gradients = self._computation.gradients(self.stacked, batch, self._gradient_views)
        for view, gradient in zip(self._gradient_views, gradients, strict=True):
            if gradient.data_ptr() != view.data_ptr():
                view.copy_(gradient)
        self.is_torn = True
        for rows, optimizer in self._groups:
            optimizer.step(self._flat[rows], self._gradients[rows], lrs[rows])
        self.is_torn = False
        return losses

    def follow(self, paces: Sequence[Pace | None], steps: Sequence[int]) -> None:
        """Move the rows' averages, where it is time after their updates `steps`."""
        if self._averages is not None:
            self._averages.follow(paces, steps, self._flat, self.stacked.buffers)

    def averaged(self, places: Sequence[int], scales: Sequence[Sequence[float]]) -> list[Stacked]:
        """Return what some rows hold with each of their averages in place, scaled row by row: (averages, rows)."""
        if self._averages is None:
            return []
        chosen = self.chosen(places).buffers
        return [
            Stacked(self._layout.views(flat), {**chosen, **buffers})
            for flat, buffers in self._averages.scaled(places, scales)
        ]

    def chosen(self, places: Sequence[int]) -> Stacked:
        """Return what some of the rows hold."""
        if len(places) == len(self):
            return self.stacked
        index = torch.tensor(places, device=self._flat.device)
        parameters = [parameter[index] for parameter in self.stacked.parameters]
        return Stacked(parameters, {name: buffer[index] for name, buffer in self.stacked.buffers.items()})

    def row(self, place: int) -> Row:
        """Return a copy of one row."""
        buffers = {name: buffer[place].clone() for name, buffer in self.stacked.buffers.items()}
        averages = None if self._averages is None else self._averages.row(place)
        return Row(self._specs[place], self._flat[place].clone(), buffers, self._optimizer_state(place), averages)

    def _optimizer_state(self, place: int) -> Mapping[str, Tensor]:
        group = next(group for group in self._groups if place < group.rows.stop)
        return group.optimizer.state(place - group.rows.start)


def sort_key(spec: Optimizer) -> tuple[str, ...]:
    """Return what rows are ordered by.

    Raises:
        NotPackable: the optimizer has no vectorised form.
    """
    key = group_key(spec)
    if key is None:
        raise NotPackable(f"{spec.kind} has no vectorised form")
    return tuple(str(part) for part in key)


def _grouped(rows: Sequence[Row], columns: int) -> list[_Group]:
    made: list[_Group] = []
    start = 0
    for _, members in groupby(rows, key=lambda row: sort_key(row.spec)):
        group = list(members)
        like = group[0].parameters
        optimizer = PackedOptimizer([row.spec for row in group], columns, device=like.device, dtype=like.dtype)
        for place, row in enumerate(group):
            if row.optimizer:
                optimizer.load(place, row.optimizer)
        made.append(_Group(slice(start, start + len(group)), optimizer))
        start += len(group)
    return made
