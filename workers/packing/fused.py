"""torch's fused CPU kernels, called once a row: they take one number where a group has one for each trial.

The kernels have no public name. `torch.optim.adam.adam(..., fused=True)` and its like call them with the same
arguments, at about twice the time for a row of 17 thousand parameters, so they are taken as they are, and only while
torch has them under these names; without them the vectorised form does the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from search_spaces.optimizers import Optimizer

Arguments = tuple[list[list[Tensor]], dict[str, Any]]
"""Of one row: the kernel's lists of state tensors, and its numbers but the LR."""
Tensors = Mapping[str, Tensor]

NAMES: Mapping[str, str] = {
    "sgd": "_fused_sgd_",
    "adagrad": "_fused_adagrad_",
    "adam": "_fused_adam_",
    "amsgrad": "_fused_adam_",
    "adamw": "_fused_adamw_",
}
"""The kernel of each kind that has one."""


class FusedRows:
    """The kernel of a group, with the state and the numbers of every row."""

    def __init__(self, specs: Sequence[Optimizer], buffers: Tensors, steps: Tensor) -> None:
        """Bind rows to their state.

        Args:
            specs: of one kind and one group.
            buffers: by torch's name, (k, P); written to.
            steps: updates made, (k, 1) float32; read, and advanced by the caller.
        """
        self._kernel: Callable[..., None] = getattr(torch, NAMES[specs[0].kind])
        self._steps = steps
        self._rows = [self._arguments(spec, row, buffers) for row, spec in enumerate(specs)]

    @staticmethod
    def serves(kind: str, device: torch.device) -> bool:
        """Tell whether there is a kernel for it."""
        return device.type == "cpu" and kind in NAMES and hasattr(torch, NAMES[kind])

    def update(self, params: Tensor, grads: Tensor, lr: Tensor) -> None:
        """Make an update of every row: params and grads (k, P), lr (k, 1)."""
        rates = lr.flatten().tolist()
        for param, grad, rate, (state, numbers) in zip(params.unbind(), grads.unbind(), rates, self._rows, strict=True):
            self._kernel([param], [grad], *state, lr=rate, **numbers)

    def _arguments(self, spec: Any, row: int, buffers: Tensors) -> Arguments:
        numbers = {"weight_decay": spec.weight_decay, "maximize": False}
        step = [self._steps[row, 0]]
        if spec.kind == "sgd":
            momentum = [buffer[row] for buffer in buffers.values()]
            numbers |= {"momentum": spec.momentum, "nesterov": spec.nesterov, "dampening": 0.0, "is_first_step": False}
            return [momentum], numbers
        if spec.kind == "adagrad":
            return [[buffers["sum"][row]], step], numbers | {"lr_decay": spec.lr_decay, "eps": spec.eps}
        first, second, *largest = ([buffer[row]] for buffer in buffers.values())
        numbers |= {"beta1": spec.beta1, "beta2": spec.beta2, "eps": spec.eps, "amsgrad": spec.kind == "amsgrad"}
        return [first, second, largest[0] if largest else [], step], numbers
