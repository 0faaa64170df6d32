"""Dropout whose masks are functions of (seed, step, layer, element): the same packed, alone or resumed.

`counted(model)` puts it in the place of torch's dropout layers; `drawing(seeds, steps)` says whose masks are drawn.
Inside `torch.func.vmap` over trials each row draws what its trial draws alone, to the last bit.

The probability is taken to the nearest 1/65536, and what is kept is scaled by it, so that the mean is exact.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from . import randomness
from .randomness import Place

LEVELS = 1 << 16
"""Of a probability: one number of 16 bits an element."""
MOST_LAYERS = 1 << 32
"""The layer's number leaves the higher half of its word to how often it was called in the step."""
ALPHA = -1.7580993408473766
"""Where SELU ends on the left (Klambauer et al., arXiv:1706.02515): what alpha dropout puts for a dropped element."""


@dataclass(frozen=True)
class Draught:
    """What a call of a layer draws, for each trial."""

    call: int
    """The layer's number, and how often it was called before in the step."""
    level: int
    """The probability to drop, in units of 1 / LEVELS."""
    shape: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device


class Rows:
    """The trials whose masks are drawn in one step, one row each, and how often each layer has been called in it."""

    def __init__(self, seeds: Sequence[int], steps: Sequence[int]) -> None:
        pairs = list(zip(seeds, steps, strict=True))
        self.distinct = list(dict.fromkeys(pairs))
        """The (seed, step) that occur: rows that share theirs share one draw."""
        places = {pair: place for place, pair in enumerate(self.distinct)}
        self.places = [places[pair] for pair in pairs]
        """For each row, its place in `distinct`."""
        self.pairs = pairs
        """(seed, step) of each row."""
        self._calls: dict[int, int] = {}

    def part(self, chosen: slice) -> Rows:
        """Return some of the trials, before their step's first call."""
        return Rows(*zip(*self.pairs[chosen], strict=True))

    def masks(self, draught: Draught) -> Tensor:
        """Return what each row keeps, 1 or 0: (k, *shape), or (1, *shape) where all rows share one draw."""
        device = draught.device
        kept = np.empty((len(self.distinct), math.prod(draught.shape)), dtype=np.bool_)
        for mask, (seed, step) in zip(kept, self.distinct, strict=True):
            drawn = randomness.small_words(mask.size, Place(seed, step, randomness.DROPOUT, draught.call))
            np.greater_equal(drawn, draught.level, out=mask)
        # torch turns uint8 into float32 twenty times faster than bool.
        masks = torch.from_numpy(kept.view(np.uint8))
        # From pinned memory a GPU fetches them while it computes; a copy from other memory would wait for it.
        masks = masks.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else masks.to(device)
        masks = masks.to(draught.dtype).view(len(kept), *draught.shape)
        few = 1 < len(kept) < len(self.places)
        return masks[torch.tensor(self.places, device=device)] if few else masks

    def call(self, layer: int) -> int:
        """Return the layer's number for this call: a layer that is used twice in a step draws twice."""
        calls = self._calls.get(layer, 0)
        self._calls[layer] = calls + 1
        return layer + calls * MOST_LAYERS


_rows: ContextVar[Rows | None] = ContextVar("rows", default=None)


@contextmanager
def drawing(seeds: Sequence[int], steps: Sequence[int]) -> Iterator[None]:
    """Draw the masks of these rows inside it: one of a trial alone, k in the order of the trials of a pack.

    Enter it anew for every forward pass of a training step; the backward pass may be inside or outside.
    """
    with drawing_for(Rows(seeds, steps)):
        yield


@contextmanager
def drawing_for(rows: Rows | None) -> Iterator[None]:
    """Draw the masks of these rows inside it: `drawing`, for rows that are made already."""
    token = _rows.set(rows)
    try:
        yield
    finally:
        _rows.reset(token)


def drawn_rows() -> Rows | None:
    """Return the rows whose masks are drawn here."""
    return _rows.get()


def counted(model: nn.Module) -> nn.Module:
    """Put counter-based dropout in the place of torch's dropout layers; parameters and names stay as they are.

    Layers are numbered in the order of `model.modules()`. Dropout that is no layer of its own (inside torch's
    MultiheadAttention or LSTM, or a call of `functional.dropout`) is left as it is. `inplace` is not followed.
    """
    made: dict[nn.Module, CountedDropout] = {}
    for path, module in list(model.named_modules(remove_duplicate=False)):
        if type(module) not in KINDS:
            continue
        if module not in made:
            made[module] = KINDS[type(module)](module.p, len(made)).train(module.training)
        if not path:
            return made[module]
        model.set_submodule(path, made[module])
    return model


class CountedDropout(nn.Module):
    """torch's Dropout with counter-based masks."""

    def __init__(self, p: float, layer: int) -> None:
        """Drop with probability `p`; `layer` is the number that the masks depend on."""
        super().__init__()
        self.p = p
        self.layer = layer
        # Stacked with a pack's other buffers, it shows each row to be a trial's own, even where the input is shared.
        self.register_buffer("row", torch.zeros(()), persistent=False)
        self.row: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """Return x (any shape) with elements dropped and the others scaled; in evaluation mode x itself."""
        if not self.training or self._level() == 0:
            return x
        if self._level() == LEVELS:
            return x * 0
        return self._dropped(x, self._kept(x))

    def extra_repr(self) -> str:
        """Show what the layer is, in the model's text."""
        return f"p={self.p}, layer={self.layer}"

    def _dropped(self, x: Tensor, kept: Tensor) -> Tensor:
        scaled = kept * (LEVELS / (LEVELS - self._level()))
        return (x * scaled).to(x.dtype)

    def _drawn_shape(self, shape: torch.Size) -> tuple[int, ...]:
        """Return the shape of what is drawn for an input: one number an element, or one a channel."""
        return tuple(shape)

    def _level(self) -> int:
        return math.floor(self.p * LEVELS + 0.5)

    def _kept(self, x: Tensor) -> Tensor:
        """Draw 1 for what is kept and 0 for what is dropped, in float32 or better: half floats scale badly."""
        rows = _rows.get()
        if rows is None:
            raise LookupError("nobody says whose dropout is drawn: train inside `drawing(seeds, steps)`")
        dtype = torch.promote_types(x.dtype, torch.float32)
        draught = Draught(rows.call(self.layer), self._level(), self._drawn_shape(x.shape), dtype, x.device)
        if len(rows.distinct) == 1:
            return rows.masks(draught)[0]
        drawn: Tensor = _Draw.apply(x, self.row, rows, draught)  # type: ignore[no-untyped-call]
        return drawn


class CountedChannelDropout(CountedDropout):
    """torch's Dropout2d: whole channels (dimension 1) are dropped; those of Dropout1d and Dropout3d see below."""

    unbatched_dimensions = 0
    """Dimensions of an input without a batch, whose channels are dimension 0; 0: there is always a batch."""

    def _drawn_shape(self, shape: torch.Size) -> tuple[int, ...]:
        channels = 1 if len(shape) == self.unbatched_dimensions else 2
        return (*shape[:channels], *(1 for _ in shape[channels:]))


class CountedDropout1d(CountedChannelDropout):
    """torch's Dropout1d: (N, C, L) or (C, L)."""

    unbatched_dimensions = 2


class CountedDropout3d(CountedChannelDropout):
    """torch's Dropout3d: (N, C, D, H, W) or (C, D, H, W)."""

    unbatched_dimensions = 4


class CountedAlphaDropout(CountedDropout):
    """torch's AlphaDropout: what is dropped goes to SELU's left end; mean and variance stay."""

    def _dropped(self, x: Tensor, kept: Tensor) -> Tensor:
        p = self._level() / LEVELS
        a = 1 / math.sqrt((ALPHA * ALPHA * p + 1) * (1 - p))
        return (a * (x * kept + ALPHA * (1 - kept) - ALPHA * p)).to(x.dtype)


class CountedFeatureAlphaDropout(CountedAlphaDropout, CountedChannelDropout):
    """torch's FeatureAlphaDropout: AlphaDropout of whole channels."""


KINDS: dict[type[nn.Module], type[CountedDropout]] = {
    nn.Dropout: CountedDropout,
    nn.Dropout1d: CountedDropout1d,
    nn.Dropout2d: CountedChannelDropout,
    nn.Dropout3d: CountedDropout3d,
    nn.AlphaDropout: CountedAlphaDropout,
    nn.FeatureAlphaDropout: CountedFeatureAlphaDropout,
}
"""What takes the place of each of torch's layers; of a subclass nothing does: it may do something else."""


class _Draw(torch.autograd.Function):
    """The masks of rows that differ: to be had under vmap only."""

    @staticmethod
    def forward(_x: Tensor, _row: Tensor, rows: Rows, _draught: Draught) -> Tensor:
        """Refuse: without vmap there is no telling whose mask is asked for."""
        raise LookupError(f"{len(rows.places)} trials draw, and neither input nor buffers are stacked")

    @staticmethod
    def setup_context(ctx: Any, _inputs: tuple[Any, ...], output: Tensor) -> None:
        """Tell autograd that a mask has no gradient."""
        ctx.mark_non_differentiable(output)

    @staticmethod
    def backward(_ctx: Any, *_grads: Any) -> tuple[None, None, None, None]:
        """Return no gradients."""
        return None, None, None, None

    @staticmethod
    def vmap(info: Any, _in_dims: Any, _x: Tensor, _row: Tensor, rows: Rows, draught: Draught) -> tuple[Tensor, int]:
        """Draw (k, *shape): for each row its own mask."""
        if len(rows.places) != info.batch_size:
            raise LookupError(f"{len(rows.places)} trials draw in a pack of {info.batch_size}")
        return rows.masks(draught), 0
