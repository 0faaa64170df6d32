"""What k trials hold and see, side by side: the trial is the first dimension."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Batch(NamedTuple):
    """A batch for k trials."""

    data: Any
    """Tensors, or tuples, lists and dicts of them; stacked, their first dimension is the trial."""
    is_shared: bool


class Stacked(NamedTuple):
    """What k trials' models hold."""

    parameters: Sequence[Tensor]
    """(k, *shape) each, in the order of the layout."""
    buffers: Mapping[str, Tensor]
    """(k, *shape) each, by name; a forward pass in training mode writes to them."""


def stacked_batches(batches: Sequence[Any]) -> Any:
    """Stack batches of one structure, tensor by tensor: (k, *shape)."""
    first = batches[0]
    if isinstance(first, Tensor):
        return torch.stack(list(batches))
    if isinstance(first, dict):
        return {name: stacked_batches([batch[name] for batch in batches]) for name in first}
    return tuple(stacked_batches(parts) for parts in zip(*batches, strict=True))
