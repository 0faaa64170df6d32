"""Losses and gradients of a pack by a recorded computation, a block of trials at a time.

The ordinary computation of a block is recorded the first time, below autograd and vmap, and what was recorded is
repeated from then on: the same operations on the same numbers without the Python that led to them. Blocks are small,
so that what a block reads and writes stays in a processor's cache, however many trials the pack has.

A record repeats what Python decided when it was made. Whether that is right is found by `probe.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from ..dropout import Draught, Rows, drawing_for, drawn_rows
from .layout import NotPackable
from .program import Program
from .recording import Input, Recorder, Stage
from .stacked import Batch, Stacked

BLOCKS = (16, 8, 4, 2, 1)
"""Trials of a block: the largest first, then what is left."""
MOST_TRACES = 64
"""Of a task; batches of yet another form are computed as ever: where each has its own, nothing would be repeated."""

Ordinary = Callable[[Stacked, Batch, Sequence[Tensor]], tuple[Tensor, Sequence[Tensor]]]
"""Returns losses (k,) and gradients, some of them where they are wanted."""
Judge = Callable[[Stacked, Any], dict[str, Tensor]]
"""Returns metrics by name, (k,) each."""


class Block:
    """Some neighbours of a pack."""

    def __init__(self, stacked: Stacked, gradients: Sequence[Tensor], rows: slice) -> None:
        """Take rows of what a pack's models hold, and of where its gradients are wanted."""
        self.rows = rows
        self.size = rows.stop - rows.start
        buffers = {name: buffer[rows] for name, buffer in stacked.buffers.items()}
        self.stacked = Stacked([parameter[rows] for parameter in stacked.parameters], buffers)
        self.gradients = [gradient[rows] for gradient in gradients]
        self.strides = tuple(one.stride() for one in (*self.held, *self.gradients))
        """They are part of what is recorded."""
        self.bound: dict[Trace, tuple[Tensor, ...]] = {}
        """What a trace's program makes of its places."""

    @property
    def held(self) -> list[Tensor]:
        """What its models hold; it stays where it is."""
        return [*self.stacked.parameters, *self.stacked.buffers.values()]


class Trace:
    """A block's computation for batches of one form."""

    def __init__(self, program: Program, draughts: Sequence[Draught] = (), names: Sequence[str] = ()) -> None:
        """Take a program, the masks that it wants beside the batch, and what its results are called."""
        self.names = names
        self._program = program
        self._draughts = draughts

    def prepared(self, batch: Batch, rows: Rows | None) -> tuple[Tensor, ...]:
        """Return what the batch and the masks of these rows give."""
        masks = [] if rows is None else [rows.masks(draught) for draught in self._draughts]
        return self._program.prepared([*leaves(batch.data), *masks])

    def __call__(self, block: Block, prepared: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Repeat it for a block, and return its results, (k,) each; gradients go where they are wanted."""
        if self not in block.bound:
            block.bound[self] = self._program.places([*block.held, *block.gradients])
        return self._program(block.bound[self], prepared)


class _NotedRows(Rows):
    """Rows whose masks are inputs of a record."""

    def __init__(self, rows: Rows, recorder: Recorder) -> None:
        super().__init__(*zip(*rows.pairs, strict=True))
        self.draughts: list[Draught] = []
        self._recorder = recorder

    def masks(self, draught: Draught) -> Tensor:
        """Draw, and note what was drawn."""
        with self._recorder.paused():
            masks = super().masks(draught)
        self._recorder.begin_with(Input(masks, Stage.SHARED))
        self.draughts.append(draught)
        return masks


class Traced:
    """A task's losses and gradients, block by block."""

    def __init__(self, ordinary: Ordinary, judge: Judge) -> None:
        """Repeat what these compute."""
        self._ordinary = ordinary
        self._judge = judge
        self._traces: dict[Hashable, Trace] = {}
        self._stacked: Stacked | None = None
        self._places: Sequence[Tensor] = ()
        self._gradients: Sequence[Tensor] = ()
        self._blocks: list[Block] = []
        """Of the pack that came last."""

    @torch.no_grad()
    def gradients(self, stacked: Stacked, batch: Batch, places: Sequence[Tensor]) -> tuple[Tensor, Sequence[Tensor]]:
        """Return the losses (k,) and gradients of all trials: `Computation.gradients`.

        Raises:
            NotPackable: something in it cannot be repeated.
        """
        if stacked is not self._stacked or places is not self._places:
            self._cut(stacked, places)
        form, ready = _form(batch.data, 0 if batch.is_shared else 1), _Ready(batch, drawn_rows())
        losses = [self._losses(block, form, ready) for block in self._blocks]
        return torch.cat(losses), self._gradients

    def judged(self, stacked: Stacked, data: Any) -> dict[str, Tensor]:
        """Return every metric of all trials over one batch, (k,) each: `Computation.judged`.

        Raises:
            NotPackable: something in it cannot be repeated.
        """
        form, ready = _form(data, 0), _Ready(Batch(data, is_shared=True), None)
        blocks = [Block(stacked, (), rows) for rows in _covered(len(stacked.parameters[0]))]
        found = [self._metrics(block, form, ready) for block in blocks]
        return {name: torch.cat([metrics[name] for metrics in found]) for name in found[0]}

    def _metrics(self, block: Block, form: Hashable, ready: _Ready) -> dict[str, Tensor]:
        batch, _ = ready.of(block)
        key = "judged", block.size, block.strides, form
        trace = self._traces.get(key)
        if trace is not None:
            return dict(zip(trace.names, trace(block, ready.prepared(trace, batch, None)), strict=True))
        if len(self._traces) >= MOST_TRACES:
            return self._judge(block.stacked, batch.data)
        self._traces[key], metrics = recorded_judgement(self._judge, block, batch.data)
        return metrics

    def _cut(self, stacked: Stacked, places: Sequence[Tensor]) -> None:
        self._stacked, self._places = stacked, places
        self._gradients = places or [torch.empty_like(parameter) for parameter in stacked.parameters]
        self._blocks = [Block(stacked, self._gradients, rows) for rows in _covered(len(stacked.parameters[0]))]

    def _losses(self, block: Block, form: Hashable, ready: _Ready) -> Tensor:
        batch, rows = ready.of(block)
        key = block.size, block.strides, form, batch.is_shared, rows is None or len(rows.distinct) == 1
        trace = self._traces.get(key)
        if trace is not None:
            return trace(block, ready.prepared(trace, batch, rows))[0]
        if len(self._traces) >= MOST_TRACES:
            with drawing_for(None if rows is None else rows.part(slice(None))):
                return in_place(self._ordinary, block, batch)
        # What is recorded is computed: the block has its gradients.
        self._traces[key], losses = recorded(self._ordinary, block, batch, rows)
        return losses


class _Ready:
    """What blocks need of an update: each its part, and what they share once."""

    def __init__(self, batch: Batch, rows: Rows | None) -> None:
        self._batch = batch
        self._rows = rows
        self._is_shared = batch.is_shared and (rows is None or len(rows.distinct) == 1)
        self._prepared: dict[Trace, tuple[Tensor, ...]] = {}

    def of(self, block: Block) -> tuple[Batch, Rows | None]:
        """Return a block's part of the batch, and whose masks it draws."""
        if self._is_shared:
            return self._batch, self._rows
        batch = self._batch if self._batch.is_shared else Batch(_part(self._batch.data, block.rows), is_shared=False)
        return batch, None if self._rows is None else self._rows.part(block.rows)

    def prepared(self, trace: Trace, batch: Batch, rows: Rows | None) -> tuple[Tensor, ...]:
        """Return what a trace makes of them."""
        if not self._is_shared:
            return trace.prepared(batch, rows)
        if trace not in self._prepared:
            self._prepared[trace] = trace.prepared(batch, rows)
        return self._prepared[trace]


def recorded(ordinary: Ordinary, block: Block, batch: Batch, rows: Rows | None) -> tuple[Trace, Tensor]:
    """Compute a block's losses and gradients, and return how with the losses (k,).

    Raises:
        NotPackable: something in it cannot be repeated.
    """
    recorder = Recorder(_inputs(block, batch.data))
    noted = None if rows is None else _NotedRows(rows, recorder)
    with recorder, drawing_for(noted):
        losses = in_place(ordinary, block, batch)
    return Trace(Program(recorder.finish([losses])), [] if noted is None else noted.draughts), losses


def recorded_judgement(judge: Judge, block: Block, data: Any) -> tuple[Trace, dict[str, Tensor]]:
    """Compute a block's metrics, and return how with them.

    Raises:
        NotPackable: something in it cannot be repeated.
    """
    recorder = Recorder(_inputs(block, data))
    with recorder:
        metrics = judge(block.stacked, data)
    return Trace(Program(recorder.finish(list(metrics.values()))), names=list(metrics)), metrics


def _inputs(block: Block, data: Any) -> list[Input]:
    places = [Input(one, Stage.PLACE) for one in (*block.held, *block.gradients)]
    return [*places, *(Input(one, Stage.SHARED) for one in leaves(data))]


def in_place(ordinary: Ordinary, block: Block, batch: Batch) -> Tensor:
    """Compute a block's gradients to where they are wanted, and return its losses (k,)."""
    losses, gradients = ordinary(block.stacked, batch, block.gradients)
    for place, gradient in zip(block.gradients, gradients, strict=True):
        if gradient.data_ptr() != place.data_ptr():
            place.copy_(gradient)
    return losses


def _covered(count: int) -> Iterator[slice]:
    """Yield blocks of neighbours, the largest first."""
    start = 0
    while start < count:
        size = next(size for size in BLOCKS if size <= count - start)
        yield slice(start, start + size)
        start += size


def leaves(data: Any) -> Iterator[Tensor]:
    """Yield the tensors of a batch, always in the same order."""
    if isinstance(data, Tensor):
        yield data
    elif isinstance(data, dict | tuple | list):
        for part in data.values() if isinstance(data, dict) else data:
            yield from leaves(part)


def _part(data: Any, rows: slice) -> Any:
    """Return some trials' part of stacked data."""
    if isinstance(data, Tensor):
        return data[rows]
    if isinstance(data, dict):
        return {name: _part(part, rows) for name, part in data.items()}
    return tuple(_part(part, rows) for part in data)


def _form(data: Any, skipped: int) -> Hashable:
    """Return everything of a batch but the values of its tensors and their first `skipped` sizes.

    Raises:
        NotPackable: there is something in it that may change unnoticed.
    """
    if isinstance(data, Tensor):
        return data.shape[skipped:], data.stride(), data.dtype
    if isinstance(data, dict):
        return tuple((name, _form(part, skipped)) for name, part in data.items())
    if isinstance(data, tuple | list):
        return type(data), *(_form(part, skipped) for part in data)
    if data is None:
        return None
    raise NotPackable(f"its batches hold a {type(data).__name__}")
