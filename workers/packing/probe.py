"""Whether a task's trials can be trained as one computation: found by doing it, in float64, beside each alone."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from etude.task import Task, judged_by_examples

from .. import randomness
from ..dropout import drawing
from ..randomness import Place, reseed_torch
from ..training import BEFORE_THE_FIRST_STEP
from .layout import Layout, NotPackable
from .members import held
from .stacked import Batch, Stacked, stacked_batches
from .traced import leaves
from .ways import Computation, Way, pattern

TRIALS = 3
SEED = 0
APART = 0.02
"""How far the probe's trials are apart, in units of a parameter's root mean square."""
FEW = 8
"""Examples of a batch that are compared first: float64 is slow, and a convolution's whole batch takes seconds."""
TOLERANCE = 1e-9
"""Of a difference in float64, relative to the norm of everything compared: one parameter's own gradient may be zero
in exact arithmetic (a bias before a BatchNorm). Where packing is right, 45 kinds of modules were below 1e-15."""

Shown = Callable[[Any], Any]
"""What of a batch is compared."""


def check_packing(task: Task, way: Way) -> None:
    """Compare losses, gradients, buffers and metrics of three trials together with those of each alone.

    It is done on a few examples of a batch, and on all where those show a difference or are too few for the task.

    Raises:
        NotPackable: they differ, or something that the task does cannot be done for many trials at once.
    """
    if task.sparse_gradients:
        raise NotPackable("its gradients are sparse")
    try:
        _prepared(task, way, _few).compare()
    except NotPackable:
        _prepared(task, way, _double).compare()


def _prepared(task: Task, way: Way, shown: Shown) -> _Probe:
    """Return the probe on what is shown of each batch."""
    reseed_torch(SEED, BEFORE_THE_FIRST_STEP)
    try:
        model = pattern(task, task.model(SEED)).double()
        layout = Layout(task, model)
    except RuntimeError as error:
        raise NotPackable(_said(error)) from error
    return _Probe(task, model, layout, way, shown)


Round = list[tuple[int, int]]
"""(seed, step) of each trial: where they differ, each has its own data and masks."""


def _rounds(task: Task, way: Way) -> list[Round]:
    """Return where the trials are compared; what is recorded in one round has to be right in the others."""
    few_steps = task.steps_per_epoch < TRIALS + 1
    alike = [(SEED, 0)] * TRIALS
    apart = [(SEED, place) for place in range(TRIALS)]
    if way != "traced":
        return [alike if task.cohort or few_steps else apart]
    if task.cohort:
        # A loader walks to the next batch soon, and to a far one slowly.
        return [[(SEED, min(step, task.steps_per_epoch - 1))] * TRIALS for step in range(TRIALS)]
    late = max(1, task.epochs - 1) * task.steps_per_epoch
    if few_steps:
        others = [[(SEED + place, at) for place in range(TRIALS)] for at in (0, late)]
        return [alike, [(SEED + 1, late)] * TRIALS, *others]
    return [
        apart,
        [(SEED + 1, late + 2), (SEED, late), (SEED + 2, late + 1)],
        [(SEED, 1)] * TRIALS,
        [(SEED + 1, late)] * TRIALS,
    ]


class _Probe:
    """Three trials of a task, alone and together."""

    def __init__(self, task: Task, model: nn.Module, layout: Layout, way: Way, shown: Shown) -> None:
        self._task = task
        self._shown = shown
        self._layout = layout
        self._rounds = _rounds(task, way)
        self._models = [_moved(copy.deepcopy(model), layout, trial) for trial in range(TRIALS)]
        self._computation = Computation(task, model, layout.names, way)

    def compare(self) -> None:
        """Raise NotPackable unless what is computed together is what is computed alone."""
        for at in self._rounds:
            self._compare_gradients(at)
        if judged_by_examples(type(self._task)):
            self._compare_metrics()

    def _compare_gradients(self, at: Round) -> None:
        batches = _attempted(lambda: [self._shown(self._task.batch(step, seed)) for seed, step in at])
        stacked = self._stacked(self._models)
        together = _attempted(lambda: self._together(stacked, at, batches))
        # Alone comes second: it changes the buffers that the stack was copied from.
        alone = [_attempted(partial(self._alone, *one)) for one in zip(self._models, at, batches, strict=True)]
        for place, one in enumerate(alone):
            self._check("the loss", [one[0]], [together[0][place]])
            self._check("the gradient", one[1], [gradient[place] for gradient in together[1]])
            own = dict(self._models[place].named_buffers())
            names = [name for name in stacked.buffers if name in own and own[name].is_floating_point()]
            self._check("a buffer", [own[name] for name in names], [stacked.buffers[name][place] for name in names])

    def _stacked(self, models: Sequence[nn.Module]) -> Stacked:
        values = [held(model) for model in models]
        parameters = [torch.stack([one[name].detach() for one in values]) for name in self._layout.names]
        others = [name for name in values[0] if name not in self._layout.names]
        return Stacked(parameters, {name: torch.stack([one[name].detach() for one in values]) for name in others})

    def _together(self, stacked: Stacked, at: Round, batches: Sequence[Any]) -> tuple[Tensor, Sequence[Tensor]]:
        shared = len(set(at)) == 1
        data = batches[0] if shared else stacked_batches(batches)
        with drawing(*zip(*at, strict=True)):
            return self._computation.gradients(stacked, Batch(data, is_shared=shared))

    def _alone(self, model: nn.Module, at: tuple[int, int], batch: Any) -> tuple[Tensor, Sequence[Tensor]]:
        values = dict(model.train().named_parameters())
        parameters = [values[name] for name in self._layout.names]
        seed, step = at
        with drawing([seed], [step]):
            loss = self._task.loss(model, batch)
        return loss.detach(), torch.autograd.grad(loss, parameters)

    def _compare_metrics(self) -> None:
        data = next(iter(self._task.examples("validation")))
        self._compare_judgement(self._models, self._shown(data))
        if self._computation.way == "traced":  # what was recorded is repeated for other values and examples
            self._compare_judgement(self._models[::-1], self._shown(_turned(data)))

    def _compare_judgement(self, models: Sequence[nn.Module], data: Any) -> None:
        together = _attempted(lambda: self._computation.judged(self._stacked(models), data))
        for place, model in enumerate(models):
            with torch.no_grad():
                alone = self._task.metrics(model.eval(), data)
            for name, value in alone.items():
                self._check(f"the metric {name}", [value.double()], [together[name][place].double()])

    def _check(self, what: str, alone: Sequence[Tensor], together: Sequence[Tensor]) -> None:
        norm = sum(one.double().square().sum() for one in alone) ** 0.5
        apart = sum((a - b).double().square().sum() for a, b in zip(alone, together, strict=True)) ** 0.5
        if not apart <= TOLERANCE * norm + torch.finfo(torch.float64).tiny:
            raise NotPackable(
                f"{what} of a trial differs when it is packed: by {float(apart):.1e} of {float(norm):.1e}"
            )


def _moved(model: nn.Module, layout: Layout, trial: int) -> nn.Module:
    """Move a model's trained parameters a little, another way for each trial."""
    values = dict(model.named_parameters())
    with torch.no_grad():
        for layer, name in enumerate(layout.names):
            value = values[name]
            noise = randomness.normals(tuple(value.shape), Place(SEED, trial, randomness.NOISE, layer), value.device)
            value.add_(APART * noise * (value.square().mean().sqrt() + APART))
    return model


def _attempted(compute: Callable[[], Any]) -> Any:
    try:
        return compute()
    except NotPackable:
        raise
    except Exception as error:
        raise NotPackable(_said(error)) from error


def _said(error: Exception) -> str:
    """Return the first line of what was raised, by its class."""
    text = str(error).strip().split("\n", 1)[0]
    return f"{type(error).__name__}: {text}"[:300]


def _mapped(change: Callable[[Tensor], Tensor], batch: Any) -> Any:
    """Return the batch with its tensors changed."""
    if isinstance(batch, Tensor):
        return change(batch)
    if isinstance(batch, dict):
        return {name: _mapped(change, part) for name, part in batch.items()}
    return tuple(_mapped(change, part) for part in batch) if isinstance(batch, tuple | list) else batch


def _double(batch: Any) -> Any:
    """Return the batch with its real numbers in float64."""
    return _mapped(lambda tensor: tensor.double() if tensor.is_floating_point() else tensor, batch)


def _turned(batch: Any) -> Any:
    """Return the batch from its end: with other examples in front."""
    return _mapped(lambda tensor: tensor.flip(0) if tensor.ndim else tensor, batch)


def _few(batch: Any) -> Any:
    """Return a few examples in float64; the whole batch where its tensors do not agree on how many it has."""
    counts = {len(tensor) if tensor.ndim else 0 for tensor in leaves(batch)}
    return _double(_mapped(lambda tensor: tensor[:FEW], batch) if len(counts) == 1 and min(counts) > FEW else batch)
