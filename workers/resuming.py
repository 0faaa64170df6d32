"""The state of a training, taken between two updates and put back into one that is built alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from etude.torch import ScheduledLR

from .engine import TrainingState


class StateDoesNotFit(Exception):
    """A saved state belongs to another training: other shapes, another optimizer, another horizon."""


def taken(step: int, model: nn.Module, optimizer: Optimizer, scheduler: ScheduledLR) -> TrainingState:
    """Return a copy of where a training stands after `step` updates, on the CPU.

    Of the model it is what torch's `state_dict` holds: a buffer that changes has to be persistent.
    """
    return TrainingState(
        step=step,
        model=_copied(model.state_dict()),
        optimizer=_copied(optimizer.state_dict()),
        scheduler=_copied(scheduler.state_dict()),
    )


def put_back(state: TrainingState, model: nn.Module, optimizer: Optimizer, scheduler: ScheduledLR) -> None:
    """Bring a training that was built alike to a state, which stays as it is.

    After an error the training is of no use: part of the state may be in it.

    Raises:
        StateDoesNotFit: the state is another training's.
    """
    try:
        _load_model(model, state["model"])
        _load_optimizer(optimizer, state["optimizer"], state["step"])
        scheduler.load_state_dict(_copied(state["scheduler"]))
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        raise StateDoesNotFit(f"the state does not fit: {error}") from error
    if scheduler.last_epoch != state["step"]:
        raise StateDoesNotFit(f"the state is of step {state['step']}, its scheduler's of {scheduler.last_epoch}")


def _copied(value: Any) -> Any:
    """Copy tensors to the CPU, and the dicts, lists and tuples that hold them."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, Mapping):
        return {key: _copied(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_copied(part) for part in value)
    return value


def _load_model(model: nn.Module, saved: Mapping[str, Any]) -> None:
    own = model.state_dict()
    if saved.keys() != own.keys():
        raise ValueError(
            f"parameters or buffers are missing or too many: {', '.join(sorted(saved.keys() ^ own.keys()))}"
        )
    for name, value in own.items():
        _check_alike(name, value, saved[name])
    model.load_state_dict(_copied(saved))


def _check_alike(name: str, own: Any, saved: Any) -> None:
    if not isinstance(own, Tensor):
        return  # what a module keeps by `get_extra_state`
    if own.shape != saved.shape or own.dtype != saved.dtype:
        raise ValueError(f"{name} is {tuple(saved.shape)} {saved.dtype}, not {tuple(own.shape)} {own.dtype}")


def _load_optimizer(optimizer: Optimizer, saved: Mapping[str, Any], step: int) -> None:
    own = optimizer.state_dict()
    groups = saved["param_groups"]
    if groups is None:
        # Some optimizers count their updates in the group; the others never look there.
        groups = [{**group, "step": step} for group in own["param_groups"]]
    for group, fresh in zip(groups, own["param_groups"], strict=True):
        if missing := fresh.keys() - group.keys():
            raise ValueError(f"another optimizer's: {', '.join(sorted(missing))} missing")
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for place, values in saved["state"].items():
        for name, value in values.items():
            _check_belongs(name, value, parameters[place])
    optimizer.load_state_dict({"state": _copied(saved["state"]), "param_groups": _copied(groups)})
    # torch casts what it loads to the parameter's type; NAdam's product is kept in float32 whatever that is.
    for place, values in saved["state"].items():
        for name, value in values.items():
            if isinstance(value, Tensor) and not value.ndim:
                loaded = optimizer.state[parameters[place]][name]
                optimizer.state[parameters[place]][name] = loaded.to(value.dtype)


def _check_belongs(name: str, value: Any, parameter: Tensor) -> None:
    """A tensor of an optimizer's is the parameter's shape, flattened, or broadcast to it (Adafactor's)."""
    if not isinstance(value, Tensor) or value.numel() == parameter.numel():
        return
    try:
        fits = torch.empty(value.shape, device="meta").expand(parameter.shape).shape == parameter.shape
    except RuntimeError:
        fits = False
    if not fits:
        raise ValueError(f"{name} of shape {tuple(value.shape)} belongs to no parameter {tuple(parameter.shape)}")
