"""Where each parameter of a model lies in the flat rows of a pack."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from etude.task import Task

ALIGNMENT = 16
"""Every parameter begins at a multiple of so many columns: kernels read and write whole cache lines."""


class NotPackable(Exception):
    """Trials of this task cannot be trained as one computation; the text says why."""


@dataclass(frozen=True)
class Parameter:
    """One parameter's place."""

    name: str
    """In the model."""
    shape: torch.Size
    columns: slice
    """Of a flat row."""
    group: int
    """Its parameter group, by position."""


class Layout:
    """The trainable parameters of a model in the order of torch's optimizers, flat, with gaps that stay zero."""

    def __init__(self, task: Task, model: nn.Module) -> None:
        """Lay out the parameters that the task trains.

        Raises:
            NotPackable: a group sets more than its name, or a parameter is not one of the model's.
        """
        self.group_names, grouped = _groups(task.groups(model))
        names = {id(parameter): name for name, parameter in model.named_parameters()}
        parameters, end = [], 0
        for group, tensor in grouped:
            name = names.get(id(tensor))
            if name is None:
                raise NotPackable("a parameter that the task trains is not one of its model's")
            columns = slice(end, end + tensor.numel())
            parameters.append(Parameter(name, tensor.shape, columns, group))
            end = -(-columns.stop // ALIGNMENT) * ALIGNMENT
        self.parameters: Sequence[Parameter] = tuple(parameters)
        self.columns = end
        """P, gaps included."""

    @property
    def names(self) -> list[str]:
        """The trained parameters' names, in order."""
        return [parameter.name for parameter in self.parameters]

    def views(self, flat: Tensor) -> list[Tensor]:
        """Return the parameters of rows (k, P) as views: (k, *shape) each."""
        return [flat[:, one.columns].view(len(flat), *one.shape) for one in self.parameters]

    def join(self, tensors: Sequence[Tensor], like: Tensor) -> Tensor:
        """Return one flat row (P,) of tensors in the order of the parameters, of type and device of `like`."""
        row = torch.zeros(self.columns, dtype=like.dtype, device=like.device)
        for one, tensor in zip(self.parameters, tensors, strict=True):
            row[one.columns].copy_(tensor.reshape(-1))
        return row

    def split(self, row: Tensor) -> list[Tensor]:
        """Return the parameters of one flat row (P,), in order, each in its shape."""
        return [row[one.columns].view(one.shape) for one in self.parameters]

    def by_parameter(self, state: Mapping[str, Tensor]) -> dict[int, dict[str, Tensor]]:
        """Turn one row's optimizer state into torch's: by index of the parameter; empty before the first update."""
        if not state:
            return {}
        made: dict[int, dict[str, Tensor]] = {index: {} for index in range(len(self.parameters))}
        for name, value in state.items():
            parts = self.split(value) if value.ndim else [value] * len(made)
            for index, part in enumerate(parts):
                made[index][name] = part.detach().cpu().clone()
        return made

    def by_name(self, state: Mapping[int, Mapping[str, Any]], like: Tensor) -> dict[str, Tensor]:
        """Turn torch's optimizer state into that of a row: each tensor flat (P,), each number as it is."""
        if not state:
            return {}
        first = state[0]
        made: dict[str, Tensor] = {}
        for name in (name for name, value in first.items() if value is not None):
            values = [torch.as_tensor(state[index][name]) for index in range(len(self.parameters))]
            is_number = all(value.ndim == 0 for value in values) and name in SCALARS
            made[name] = values[0] if is_number else self.join(values, like)
        return made

    def spread(self, lrs: Tensor) -> Tensor:
        """Return the LR of every column, from that of every group: (k, groups) float64 -> (k, P), or (k, 1) for one."""
        if len(self.group_names) == 1:
            return lrs
        spread = lrs.new_zeros(len(lrs), self.columns)
        for one in self.parameters:
            spread[:, one.columns] = lrs[:, one.group : one.group + 1]
        return spread


SCALARS = frozenset({"step", "mu_product"})
"""What torch's optimizers keep as one number a parameter."""


def _groups(given: Iterable[Any]) -> tuple[list[str | None], list[tuple[int, Tensor]]]:
    """Return the groups' names, and every trained parameter with the position of its group."""
    groups = list(given)
    if not groups or not isinstance(groups[0], dict):
        return [None], [(0, tensor) for tensor in groups]
    for group in groups:
        if further := sorted(group.keys() - {"params", "name"}):
            raise NotPackable(f"a parameter group of the task sets {', '.join(further)}")
    names = [group.get("name") for group in groups]
    return names, [(place, tensor) for place, group in enumerate(groups) for tensor in group["params"]]
