"""Optimizers that step in ways of their own: as the argument says."""

from __future__ import annotations

import sys

import torch
from seen import Seen, parameter

STEPS = 6


class Wrapping(torch.optim.Optimizer):
    """Steps another optimizer within its own step, on the same groups, as lookahead does."""

    def __init__(self, base: torch.optim.Optimizer) -> None:
        super().__init__(base.param_groups, base.defaults)
        self.base = base
        self.param_groups = base.param_groups

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Leave it to the base."""
        self.base.step(closure)


class Copying(Wrapping):
    """Has groups of its own and copies their LR into the base's, as sharded optimizers do."""

    def __init__(self, base: torch.optim.Optimizer) -> None:
        super().__init__(base)
        self.param_groups = [dict(group) for group in base.param_groups]

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Copy, and leave it to the base."""
        for mine, its in zip(self.param_groups, self.base.param_groups, strict=True):
            its["lr"] = mine["lr"]
        super().step(closure)


class Deriving(torch.optim.SGD):
    """Calls the step of the class that it derives from."""

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Call the base's."""
        super().step(closure)


class Far(torch.Tensor):
    """A tensor that says that it lies on an accelerator."""

    device = torch.device("cuda")  # type: ignore[assignment]


def made(kind: str, weight: torch.Tensor) -> torch.optim.Optimizer:
    """Return the optimizer of a kind, at an LR of its own of 0.5."""
    rate = torch.tensor(0.5, dtype=torch.float64)
    rates = {"tensor": rate, "far": rate.as_subclass(Far)}
    plain = torch.optim.SGD([weight], lr=rates.get(kind, 0.5))
    if kind == "deriving":
        return Deriving([weight], lr=0.5)
    if kind == "closure":
        return torch.optim.LBFGS([weight], lr=0.5, max_iter=1)
    return {"wrapping": Wrapping, "copying": Copying}.get(kind, lambda base: base)(plain)


def closure() -> torch.Tensor:
    """Evaluate the loss, more than once a step."""
    optimizer.zero_grad()
    weight.backward()
    return weight


def insist(one: torch.optim.Optimizer, _args: object, _kwargs: object) -> None:
    """Set an LR within the step, after anybody else."""
    one.param_groups[0]["lr"] = 0.125


kind = sys.argv[1]
seen, weight = Seen(), parameter()
optimizer = made(kind, weight)
if kind == "insisting":
    optimizer.register_step_pre_hook(insist)
for step in range(STEPS):
    closure()
    if kind == "raising" and step % 2 == 0:
        try:
            optimizer.step(lambda: 1 / 0)
        except ZeroDivisionError:
            continue
    with seen.update(weight):
        optimizer.step(closure) if kind == "closure" else optimizer.step()
logged = float(optimizer.param_groups[0]["lr"])
seen.write()
