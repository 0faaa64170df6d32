"""A scheduler of its own that writes LRs by update and by epoch, scaled by layer; its first LR is a warm-up's."""

from __future__ import annotations

import math

import torch
from seen import Seen, parameter

EPOCHS, PER_EPOCH, WARM_UP = 4, 3, 3


class ByUpdateOrEpoch:
    """Writes `lr * lr_scale` into the groups, whatever they hold; `initial_lr` is the same for all of them."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.groups = optimizer.param_groups
        for group in self.groups:
            group.setdefault("initial_lr", group["lr"])
        self.write(0.001)

    def write(self, rate: float) -> None:
        """Set one LR, by layer."""
        for group in self.groups:
            group["lr"] = rate * group["lr_scale"]

    def step_update(self, updates: int) -> None:
        """Warm up by update."""
        if updates <= WARM_UP:
            self.write(0.5 * updates / WARM_UP)

    def step(self, epoch: int) -> None:
        """Anneal by epoch."""
        if epoch * PER_EPOCH > WARM_UP:
            self.write(0.25 * (1 + math.cos(math.pi * epoch / EPOCHS)))


seen, layers = Seen(), [parameter() for _ in range(3)]
groups = [{"params": [one], "lr_scale": 0.5**depth} for depth, one in enumerate(layers)]
optimizer = torch.optim.SGD(groups, lr=0.5)
scheduler, updates = ByUpdateOrEpoch(optimizer), 0
for epoch in range(EPOCHS):
    for _ in range(PER_EPOCH):
        optimizer.zero_grad()
        torch.stack(layers).sum().backward()
        with seen.update(*layers):
            optimizer.step()
        updates += 1
        scheduler.step_update(updates)
    scheduler.step(epoch + 1)
seen.write()
