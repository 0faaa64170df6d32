"""The ways to compute k trials' losses and gradients at once, for one task: which is right and fastest is measured."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap

from etude.task import Split, Task, example_count

from ..arithmetic import autocasting, laid_out
from ..dropout import CountedDropout, counted
from ..failures import is_out_of_memory
from .batching import by_hand, chained
from .layout import NotPackable
from .stacked import Batch, Stacked
from .traced import Traced

log = logging.getLogger(__name__)

Way = Literal["traced", "by hand", "forward", "gradient", "compiled"]
WAYS: tuple[Way, ...] = ("traced", "by hand", "forward", "gradient")
"""`traced`: what `by hand` does, recorded once and repeated, block by block; see traced.py.

`by hand`: chains as batching.py computes them, the rest by vmap, one backward pass for all.

`forward`: vmap over the forward pass, one backward pass for all. `gradient`: vmap over each trial's gradient, which
serves where the batched forward pass has no backward (recurrent layers). Not among them is `compiled`: `gradient` by
torch.compile, for whom tens of seconds at each new shape are worth it.
"""


class _Objective(nn.Module):
    """The task's loss and metrics as a module, so that its parameters can be exchanged for a call."""

    def __init__(self, task: Task, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self._task = task

    def forward(self, batch: Any, *, judge: bool) -> Any:
        with autocasting(self._task):
            return self._task.metrics(self.model, batch) if judge else self._task.loss(self.model, batch)


class Computation:
    """A task's losses, gradients and metrics over k trials at once."""

    def __init__(self, task: Task, model: nn.Module, names: Sequence[str], way: Way) -> None:
        """Take a model of the task as the pattern; its own values are not used.

        Args:
            task: says what the loss is.
            model: as `pattern` makes it; it is called with other parameters and buffers than its own.
            names: of the parameters to differentiate by, in the order of the layout.
            way: one of `WAYS`, or `compiled`.

        Raises:
            NotPackable: compiled, a mask drawn in the first step would be that of all steps; traced, it is no CPU.
        """
        self.way = way
        self._task = task
        self._model = model
        self._names = [f"model.{name}" for name in names]
        self._objective = _Objective(task, model)
        self._gradients = self._mapped(grad_and_value(self._loss))
        if way == "compiled":
            if any(isinstance(module, CountedDropout) for module in model.modules()):
                raise NotPackable("dropout cannot be compiled")
            self._gradients = {shared: CompiledOrNot(one) for shared, one in self._gradients.items()}
        self._losses = self._mapped(self._loss)
        if way == "traced" and torch.device(task.device).type != "cpu":
            raise NotPackable("what is recorded is for a CPU's caches")
        self._traced = Traced(self._by_one_backward, self._judged_by_one) if way == "traced" else None
        self._metrics = self._mapped(self._judged)

    def gradients(
        self, stacked: Stacked, batch: Batch, places: Sequence[Tensor] = ()
    ) -> tuple[Tensor, Sequence[Tensor]]:
        """Return each trial's loss (k,) and its gradients, (k, *shape) a parameter.

        `places`: like the parameters, where gradients are wanted. Some may be made there, the others are elsewhere.
        """
        if self._traced is not None:
            return self._traced.gradients(stacked, batch, places)
        if self.way in ("gradient", "compiled"):
            self._model.train()
            grads, losses = self._gradients[batch.is_shared](
                list(stacked.parameters), dict(stacked.buffers), batch.data
            )
            return losses, grads
        return self._by_one_backward(stacked, batch, places)

    def _by_one_backward(
        self, stacked: Stacked, batch: Batch, places: Sequence[Tensor]
    ) -> tuple[Tensor, Sequence[Tensor]]:
        self._model.train()
        leaves = [parameter.detach().requires_grad_() for parameter in stacked.parameters]
        with torch.enable_grad():
            losses = self._call(self._losses[batch.is_shared], leaves, stacked.buffers, batch.data, places)
            grads = torch.autograd.grad(losses.sum(), leaves)
        return losses.detach(), grads

    @torch.no_grad()
    def judged(self, stacked: Stacked, data: Any) -> dict[str, Tensor]:
        """Return every metric's mean over one batch that all trials share: (k,) each."""
        if self._traced is not None:
            return self._traced.judged(stacked, data)
        return self._judged_by_one(stacked, data)

    def _judged_by_one(self, stacked: Stacked, data: Any) -> dict[str, Tensor]:
        self._model.eval()
        found: dict[str, Tensor] = self._call(self._metrics[True], stacked.parameters, stacked.buffers, data)
        return found

    @torch.no_grad()
    def metrics(self, stacked: Stacked, split: Split) -> dict[str, list[float]]:
        """Return every metric of each trial on a split, as `Task.evaluate` makes it for one."""
        sums: dict[str, Tensor] = {}
        count = 0
        for data in self._task.examples(split):
            size = example_count(data)
            count += size
            for name, values in self.judged(stacked, data).items():
                sums[name] = sums.get(name, 0) + values.double() * size
        return {name: (total / count).tolist() for name, total in sums.items()}

    def _call(
        self,
        mapped: Callable[..., Any],
        leaves: Sequence[Tensor],
        buffers: Mapping[str, Tensor],
        data: Any,
        places: Sequence[Tensor] = (),
    ) -> Any:
        if self.way not in ("by hand", "traced"):
            return mapped(list(leaves), dict(buffers), data)
        with by_hand(leaves, places):
            return mapped(list(leaves), dict(buffers), data)

    def _loss(self, parameters: list[Tensor], buffers: dict[str, Tensor], data: Any) -> Tensor:
        loss: Tensor = self._called(parameters, buffers, data, judge=False)
        return loss

    def _judged(self, parameters: list[Tensor], buffers: dict[str, Tensor], data: Any) -> dict[str, Tensor]:
        metrics: dict[str, Tensor] = self._called(parameters, buffers, data, judge=True)
        return metrics

    def _called(self, parameters: list[Tensor], buffers: dict[str, Tensor], data: Any, *, judge: bool) -> Any:
        state = dict(zip(self._names, parameters, strict=True))
        state |= {f"model.{name}": buffer for name, buffer in buffers.items()}
        return functional_call(self._objective, state, (data,), {"judge": judge})

    def _mapped(self, function: Callable[..., Any]) -> dict[bool, Callable[..., Any]]:
        """Map over trials: by whether the batch is shared."""
        return {shared: vmap(function, in_dims=(0, 0, None if shared else 0)) for shared in (True, False)}


class CompiledOrNot:
    """A function by torch.compile; as it was from the first time that it cannot be compiled."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._plain = function
        self._function: Callable[..., Any] = torch.compile(function, fullgraph=True)

    def __call__(self, *args: Any) -> Any:
        """Call it."""
        try:
            return self._function(*args)
        except Exception as error:
            if self._function is self._plain or is_out_of_memory(error):
                raise
            log.warning("torch.compile failed, going on without it: %s: %.200s", type(error).__name__, error)
            self._function = self._plain
            return self._plain(*args)


def pattern(task: Task, model: nn.Module) -> nn.Module:
    """Make a task's fresh model into what `Computation` calls, and what a pack's trials look like."""
    return chained(laid_out(task, counted(model)))
