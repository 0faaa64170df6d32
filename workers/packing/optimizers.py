"""The optimizers of many trials of one kind at once, equal to those that `etude.torch` builds for each alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from search_spaces.optimizers import SGD, Optimizer, RMSprop

from .fused import FusedRows
from .moments import Adam, Adamax, NAdam, RAdam
from .rules import Adadelta, Adagrad, Lion, RmsProp, Rule, Sgd
from .vectorised import VectorisedRows

RULES: Mapping[str, Callable[..., Rule]] = {
    "sgd": Sgd,
    "adagrad": Adagrad,
    "rmsprop": RmsProp,
    "adam": Adam,
    "amsgrad": partial(Adam, largest=True),
    "adamw": partial(Adam, decoupled=True),
    "nadam": NAdam,
    "nadamw": partial(NAdam, decoupled=True),
    "radam": RAdam,
    "adamax": Adamax,
    "adadelta": Adadelta,
    "lion": Lion,
}
"""The kinds that have a vectorised form.

AdaBound's bounds follow the initial LR, which no step is told; the others that are missing mix the elements of a matrix
or of the whole model, evaluate other weights than they train, or want sparse gradients.
"""

Key = tuple[str | bool, ...]


def group_key(spec: Optimizer) -> Key | None:
    """Return what trials that can be stepped together have in common; None: no vectorised form, it trains alone."""
    return (spec.kind, *_flags(spec).values()) if spec.kind in RULES else None


def _flags(spec: Optimizer) -> dict[str, bool]:
    match spec:
        case SGD():
            return {"momentum": spec.momentum > 0, "nesterov": spec.nesterov}
        case RMSprop():
            return {"momentum": spec.momentum > 0, "centered": spec.centered}
        case _:
            return {}


class PackedOptimizer:
    """The optimizers of one group's trials, a row each; rows may be at different updates.

    No row touches another: its result is the same to the last bit whatever the others hold, and in any place.
    """

    def __init__(self, specs: Sequence[Optimizer], columns: int, *, device: torch.device, dtype: torch.dtype) -> None:
        """Make fresh ones.

        Args:
            specs: one for each row, all of one `group_key`.
            columns: P, the parameters of a model.
            device: where parameters, gradients, LRs and state are.
            dtype: of parameters, gradients and state: float32 or float64.

        Raises:
            ValueError: the specs are no group.
        """
        self.key = _common_key(specs)
        self.specs = tuple(specs)
        self.columns = columns
        self.device = torch.device(device)
        self.dtype = dtype
        self._rule = RULES[specs[0].kind](**_flags(specs[0]))
        numbers = {name: self._column(values, torch.float64) for name, values in _numbers(specs).items()}
        self._buffers = {
            name: torch.zeros((len(specs), columns), device=self.device, dtype=dtype) for name in self._rule.buffers
        }
        for name, number in self._rule.initial.items():
            self._buffers[name].copy_(numbers[number].expand(-1, columns))
        # Counted for every kind: it also tells which rows have a state at all. In torch's own dtype, as all of `rows`.
        starts = {"step": 0.0, **self._rule.row_state}
        self._rows = {name: self._column([start] * len(specs), torch.float32) for name, start in starts.items()}
        self._vectorised = VectorisedRows(self._rule, numbers, self._buffers, self._rows, columns, dtype)
        has_kernel = FusedRows.serves(specs[0].kind, self.device)
        self._fused = FusedRows(specs, self._buffers, self._rows["step"]) if has_kernel else None

    def __len__(self) -> int:
        return len(self.specs)

    @torch.no_grad()
    def step(self, params: Tensor, grads: Tensor, lr: Tensor) -> None:
        """Make one update of every row.

        Args:
            params: (k, P), written to; it may be a view of contiguous rows.
            grads: (k, P), left as they are.
            lr: (k, 1), or (k, P) where the parameters of a row have different ones; float64.
        """
        self._rows["step"].add_(1)
        if self._fused is not None and lr.shape[1] == 1:
            self._fused.update(params, grads, lr)
        else:
            self._vectorised.update(params, grads, lr)

    def state(self, row: int) -> dict[str, Tensor]:
        """Return a copy of a row's state under torch's names: (P,) tensors, and 0-dim ones in float32 on the CPU.

        It is empty before the first update, where torch has none then.
        """
        if self._rows["step"][row].item() == 0 and not self._rule.initial:
            return {}
        numbers = {name: self._rows[name][row, 0].to("cpu", copy=True) for name in self._rule.row_state}
        return numbers | {name: buffer[row].clone() for name, buffer in self._buffers.items()}

    @torch.no_grad()
    def load(self, row: int, state: Mapping[str, Tensor]) -> None:
        """Let a row go on from a state that `state` gave, or torch's optimizer with its parameters joined.

        Raises:
            KeyError: something of this kind is missing; only a state that is empty begins anew.
            RuntimeError: a tensor in it has not P elements.
        """
        if not state:
            fresh = PackedOptimizer([self.specs[row]], self.columns, device=self.device, dtype=self.dtype)
            for own, theirs in zip(self._state(), fresh._state(), strict=True):
                own[row].copy_(theirs[0])
            return
        # A kind whose state has no count is only known to have made an update.
        self._rows["step"][row] = 1
        for name in self._rule.row_state:
            self._rows[name][row] = state[name]
        for name, buffer in self._buffers.items():
            buffer[row].copy_(state[name].reshape(self.columns))

    def _state(self) -> list[Tensor]:
        """Everything that a row keeps from update to update, each (k, ...)."""
        return [*self._rows.values(), *self._buffers.values()]

    def _column(self, values: Sequence[float], dtype: torch.dtype) -> Tensor:
        return torch.tensor(values, dtype=dtype, device=self.device).unsqueeze(1)


def _common_key(specs: Sequence[Optimizer]) -> Key:
    """Return the key of all specs; ValueError where they have none in common."""
    keys = {group_key(spec) for spec in specs}
    key = keys.pop() if len(keys) == 1 else None
    if key is None:
        raise ValueError(f"no group: {', '.join(sorted({spec.kind for spec in specs})) or 'there are no optimizers'}")
    return key


def _numbers(specs: Sequence[Optimizer]) -> dict[str, list[float]]:
    """Return each hyperparameter of all specs, flags among them as 0 and 1."""
    return {name: [float(getattr(spec, name)) for spec in specs] for name in specs[0].parameters()}
