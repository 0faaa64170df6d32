"""What a task declares of its arithmetic, applied: bfloat16, TF32, channels last. A worker never chooses it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from etude.task import Task

DTYPES = {"float32": torch.float32, "bf16": torch.float32, "float64": torch.float64}
"""What the parameters of a task's model are made in, by the task's precision."""


class WrongPrecision(Exception):
    """A task's model is not made in the precision that the task declares."""


def laid_out(task: Task, model: nn.Module) -> nn.Module:
    """Return the model in the task's memory format; called with four-dimensional tensors it lays them out, too.

    Raises:
        WrongPrecision: its parameters are made in another type than the task declares.
    """
    declared = DTYPES[task.precision]
    for name, parameter in model.named_parameters():
        if parameter.is_floating_point() and parameter.dtype != declared:
            raise WrongPrecision(f"the task declares {task.precision}, its model's {name} is {parameter.dtype}")
    if task.channels_last:
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        model.register_forward_pre_hook(_channels_last)
    return model


def _channels_last(_: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(
        arg.contiguous(memory_format=torch.channels_last) if isinstance(arg, Tensor) and arg.ndim == 4 else arg
        for arg in args
    )


def autocasting(task: Task) -> AbstractContextManager[Any]:
    """Make a forward pass inside it, one at a time: the casts of weights are kept until its end."""
    if task.precision != "bf16":
        return nullcontext()
    return torch.autocast(torch.device(task.device).type, dtype=torch.bfloat16)


@contextmanager
def rounding(task: Task) -> Iterator[None]:
    """Train and evaluate inside it: a GPU rounds to TF32 where the task says so, and nowhere else.

    These are settings of the process, put back at the end; without it torch would round in convolutions.
    """
    products, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    before = products.allow_tf32, convolutions.allow_tf32
    products.allow_tf32 = convolutions.allow_tf32 = task.tf32
    try:
        yield
    finally:
        products.allow_tf32, convolutions.allow_tf32 = before
