"""A GradScaler that leaves out the updates whose gradients are infinite, here or inside the optimizer."""

from __future__ import annotations

import sys

import torch
from seen import Seen, parameter

STEPS, INFINITE = 10, {2, 3, 7}


class LooksItself(torch.optim.Optimizer):
    """An optimizer that is told of infinite gradients and leaves the update out by itself, as fused ones do."""

    _step_supports_amp_scaling = True

    def __init__(self, parameters: list[torch.Tensor], lr: float) -> None:
        super().__init__(parameters, {"lr": lr})

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Unscale and update, unless a gradient is infinite."""
        if self.found_inf.item():
            return
        for group in self.param_groups:
            for one in group["params"]:
                one.data.sub_(group["lr"] * one.grad / self.grad_scale)


seen, weight = Seen(), parameter()
optimizer = (LooksItself if sys.argv[1] == "inside" else torch.optim.SGD)([weight], lr=0.5)
scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 3)
for step in range(STEPS):
    optimizer.zero_grad()
    scaler.scale(weight * (float("inf") if step in INFINITE else 1.0)).backward()
    with seen.update(weight):
        scaler.step(optimizer)
    scaler.update()
    scheduler.step()
seen.write()
