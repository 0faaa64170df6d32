"""What the tests of packed optimizers have in common: groups of rows, their batches, and each row alone in torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from etude.torch import build
from search_spaces.optimizers import OPTIMIZERS, Optimizer
from workers.packing.fused import NAMES
from workers.packing.optimizers import PackedOptimizer

SHAPES = ((5, 3), (7,), (3, 2, 2))
COLUMNS = sum(math.prod(shape) for shape in SHAPES)
UPDATES = 200
"""Of a whole training."""

ADAM = [
    {"weight_decay": 0.0},
    {"beta1": 0.8, "beta2": 0.9999, "eps": 1e-4, "weight_decay": 0.1},
    {"beta1": 0.0, "beta2": 0.6, "eps": 1e-3, "weight_decay": 0.01},
    {"beta1": 0.95, "beta2": 0.9, "weight_decay": 0.0},
]
NADAM = [*ADAM[:3], {"beta1": 0.95, "momentum_decay": 0.1, "weight_decay": 0.0}]
RMSPROP = [
    {},
    {"alpha": 0.9, "eps": 1e-3, "weight_decay": 0.1},
    {"alpha": 0.5, "weight_decay": 0.01},
]
GROUPS: dict[str, list[dict[str, Any]]] = {
    "sgd": [{}, {"weight_decay": 0.1}],
    "sgd, momentum": [{"momentum": 0.9}, {"momentum": 0.5, "weight_decay": 0.1}, {"momentum": 0.99}],
    "sgd, nesterov": [
        {"momentum": 0.9, "nesterov": True},
        {"momentum": 0.5, "nesterov": True, "weight_decay": 0.1},
    ],
    "adagrad": [
        {},
        {"lr_decay": 0.1, "weight_decay": 0.1},
        {"initial_accumulator_value": 0.5, "eps": 1e-3},
    ],
    "rmsprop": RMSPROP,
    "rmsprop, momentum": [
        {**row, "momentum": momentum} for row, momentum in zip(RMSPROP, (0.9, 0.5, 0.8), strict=True)
    ],
    "rmsprop, centered": [{**row, "centered": True} for row in RMSPROP],
    "rmsprop, both": [{**row, "centered": True, "momentum": 0.9} for row in RMSPROP],
    "adam": ADAM,
    "amsgrad": ADAM,
    "adamw": ADAM,
    "nadam": NADAM,
    "nadamw": NADAM,
    "radam": ADAM,
    "adamax": ADAM,
    "adadelta": [{}, {"rho": 0.5, "eps": 1e-3, "weight_decay": 0.1}, {"rho": 0.99}],
    "lion": [{}, {"beta1": 0.5, "beta2": 0.9, "weight_decay": 0.1}],
}
"""By group, the rows that are stepped together; those without a decay stand beside some with one."""
FORMS = [(group, "vectorised") for group in GROUPS]
FORMS += [(group, "kernel") for group in GROUPS if group.split(",", maxsplit=1)[0] in NAMES]
"""Every group by every form that it is stepped in."""
PEAKS = {"sgd": 0.3, "adadelta": 30.0}
"""LRs at which an update is a tenth of a weight or so, where 0.1 does not make it."""


def specs_of(group: str) -> list[Optimizer]:
    """The optimizers of a group."""
    kind = group.split(",", maxsplit=1)[0]
    return [OPTIMIZERS[kind].model_validate({"kind": kind, **row}) for row in GROUPS[group]]


def lr_at(spec: Optimizer, row: int, update: int) -> float:
    """The LR of an update: a warm-up from 0, then waves of a length of the row's own."""
    warmup = min(1.0, update / 5)
    return PEAKS.get(spec.kind, 0.1) * warmup * (0.55 + 0.45 * math.cos(update / (7 + row)))


def lrs_at(specs: tuple[Optimizer, ...], update: int) -> Tensor:
    """The LRs of all rows, (k, 1)."""
    return torch.tensor([[lr_at(spec, row, update)] for row, spec in enumerate(specs)], dtype=torch.float64)


class Batches:
    """Gradients that change with every update in direction and size, the same for each reader of a row."""

    def __init__(self, dtype: torch.dtype, columns: int = COLUMNS) -> None:
        self.dtype = dtype
        self.columns = columns

    def grad(self, row: int, update: int) -> Tensor:
        """The gradient of a row, (P,)."""
        generator = torch.Generator().manual_seed(10_000 * row + update)
        size = 1 + 0.9 * math.sin(update / 3)
        return size * torch.randn(self.columns, generator=generator, dtype=self.dtype) + 0.3

    def grads(self, rows: int, update: int) -> Tensor:
        """Those of the first rows, (k, P)."""
        return torch.stack([self.grad(row, update) for row in range(rows)])

    def weights(self, rows: int) -> Tensor:
        """Where the rows start, (k, P)."""
        generator = torch.Generator().manual_seed(7)
        return torch.randn(rows, self.columns, generator=generator, dtype=self.dtype)


class Alone:
    """One row as a model of its own, with the optimizer that a worker builds for it."""

    def __init__(self, spec: Optimizer, weights: Tensor) -> None:
        self.params = [nn.Parameter(part.clone()) for part in split(weights)]
        self.optimizer = built(spec, self.params)

    def update(self, grad: Tensor, lr: float, ratios: tuple[float, ...] = (1.0, 1.0, 1.0)) -> None:
        """Make an update; the parameters have LRs in these ratios."""
        for param, part in zip(self.params, split(grad), strict=True):
            param.grad = part.clone()
        for group, ratio in zip(self.optimizer.param_groups, ratios, strict=True):
            group["lr"] = lr * ratio
        self.optimizer.step()

    def weights(self) -> Tensor:
        """All parameters joined, (P,)."""
        return torch.cat([param.detach().flatten() for param in self.params])

    def state(self) -> dict[str, Tensor]:
        """torch's state with the parameters joined."""
        states = list(self.optimizer.state_dict()["state"].values())
        return {name: joined([state[name] for state in states]) for name in (states[0] if states else {})}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Load a row's state into torch's optimizer."""
        parts = [
            {name: value.clone() if value.dim() == 0 else split(value)[at] for name, value in state.items()}
            for at in range(len(SHAPES))
        ]
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": dict(enumerate(parts)) if state else {}, "param_groups": groups})


def built(spec: Optimizer, params: list[nn.Parameter]) -> torch.optim.Optimizer:
    """The optimizer that a worker trains with, each parameter in a group of its own."""
    candidate = {"optimizer": spec.model_dump(), "initial_lr": 0.1, "schedule": {"kind": "constant"}}
    optimizer, _ = build(candidate, [{"params": [param]} for param in params], UPDATES)
    return optimizer


def split(flat: Tensor) -> list[Tensor]:
    """A row as the parameters of a model."""
    parts = flat.split([math.prod(shape) for shape in SHAPES])
    return [part.view(shape) for part, shape in zip(parts, SHAPES, strict=True)]


def joined(parts: list[Tensor]) -> Tensor:
    """A state of each parameter as a state of the row; one number is that of the first."""
    return parts[0] if parts[0].dim() == 0 else torch.cat([part.flatten() for part in parts])


def packed(specs: list[Optimizer], dtype: torch.dtype = torch.float32, columns: int = COLUMNS) -> PackedOptimizer:
    """The optimizers of these rows, fresh."""
    return PackedOptimizer(specs, columns, device=torch.device("cpu"), dtype=dtype)


def train(optimizer: PackedOptimizer, weights: Tensor, batches: Batches, updates: range) -> Tensor:
    """Make these updates of all rows, in place; return the weights."""
    for update in updates:
        optimizer.step(weights, batches.grads(len(optimizer), update), lrs_at(optimizer.specs, update))
    return weights


def assert_steps_are_torchs(specs: list[Optimizer], dtype: torch.dtype, updates: int, late: int) -> None:
    """At every tenth update, from torch's state, step and state are torch's; one more row begins at update `late`."""
    batches = Batches(dtype)
    rows = [*specs, specs[-1]]
    alone = [Alone(spec, weights) for spec, weights in zip(rows, batches.weights(len(rows)), strict=True)]
    for update in range(updates):
        present = alone if update >= late else alone[:-1]
        if update % 10 == 0:
            ours, before = (torch.stack([one.weights() for one in present]) for _ in range(2))
            optimizer = packed(rows[: len(present)], dtype)
            for row, one in enumerate(present):
                optimizer.load(row, one.state())
            train(optimizer, ours, batches, range(update, update + 1))
        for row, one in enumerate(present):
            one.update(batches.grad(row, update), lr_at(rows[row], row, update))
            if update % 10 == 0:
                assert_same_step(ours[row], one.weights(), before[row])
                assert_same_state(optimizer.state(row), one.state())


def assert_training_is_torchs(specs: list[Optimizer], updates: int, late: int) -> None:
    """All updates by themselves, in float64, of rows there from the start and of one that enters at update `late`."""
    batches = Batches(torch.float64)
    rows = [*specs, specs[0]]
    start = batches.weights(len(rows))
    alone = [Alone(spec, weights) for spec, weights in zip(rows, start, strict=True)]
    first, ours = packed(specs, torch.float64), start.clone()
    train(first, ours[:-1], batches, range(late))
    optimizer = packed(rows, torch.float64)
    for row in range(len(specs)):
        optimizer.load(row, first.state(row))
    train(optimizer, ours, batches, range(late, updates))
    for row, one in enumerate(alone):
        for update in range(late if one is alone[-1] else 0, updates):
            one.update(batches.grad(row, update), lr_at(rows[row], row, update))
    theirs = torch.stack([one.weights() for one in alone])
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


def assert_same_step(ours: Tensor, theirs: Tensor, before: Tensor) -> None:
    """The new weights agree to 1e-5 of the update's size, and of a weight's (in float64: 1e-12); (P,) each."""
    tolerance = {torch.float32: 1e-5, torch.float64: 1e-12}[ours.dtype]
    last_bit = torch.finfo(ours.dtype).eps * theirs.abs()
    size = (theirs - before).square().mean().sqrt()
    assert ((ours - theirs).abs() <= tolerance * size + last_bit).all()


def assert_same_state(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> None:
    """Two states hold the same, to the tolerance of one step."""
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        tolerance = {torch.float32: 1e-5, torch.float64: 1e-12}[value.dtype]
        torch.testing.assert_close(value, theirs[name], rtol=tolerance, atol=tolerance * float(value.abs().max()))
