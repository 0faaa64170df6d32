"""A loop with the scheduler that it is told, or none; two groups of which the second has a quarter of the LR."""

from __future__ import annotations

import sys

import torch
from seen import Seen, parameter
from torch.optim import lr_scheduler

STEPS = 12
KINDS = {
    "none": lambda optimizer: None,
    "exponential": lambda optimizer: lr_scheduler.ExponentialLR(optimizer, 0.7),
    "cosine": lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, STEPS),
    "warm-up": lambda optimizer: lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, step / 4)),
    "one-cycle": lambda optimizer: lr_scheduler.OneCycleLR(optimizer, [0.8, 0.2], STEPS + 1, cycle_momentum=False),
    "plateau": lambda optimizer: lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=1),
}

seen, logged, first, second = Seen(), [], parameter(), parameter()
optimizer = torch.optim.SGD([{"params": [first], "lr": 0.8}, {"params": [second], "lr": 0.2}])
kind = sys.argv[1]
scheduler = None if kind == "by-hand" else KINDS[kind](optimizer)
for step in range(STEPS):
    if kind == "by-hand":  # its own warm-up, from an LR of 0
        for group, peak in zip(optimizer.param_groups, (0.8, 0.2), strict=True):
            group["lr"] = peak * step / STEPS
    optimizer.zero_grad()
    (first + second).backward()
    with seen.update(first, second):
        optimizer.step()
    logged.append([group["lr"] for group in optimizer.param_groups])
    if scheduler is not None:
        scheduler.step(*([1.0] if kind == "plateau" else []))
    print(f"val_loss={step}")
seen.write()
