"""Optimizers of other libraries, each for a few updates: what their groups hold as each begins its step."""

from __future__ import annotations

import sys
from collections.abc import Callable

import prodigyopt
import pytorch_optimizer
import schedulefree
import torch
from seen import Seen, parameter

LR = 0.01
MADE: dict[str, Callable[[list[torch.Tensor]], torch.optim.Optimizer]] = {
    "prodigy": lambda weights: prodigyopt.Prodigy(weights, lr=LR),
    "schedule-free": lambda weights: schedulefree.AdamWScheduleFree(weights, lr=LR),
    "lion": lambda weights: pytorch_optimizer.Lion(weights, lr=LR),
    "lookahead": lambda weights: pytorch_optimizer.Lookahead(torch.optim.SGD(weights, lr=LR), k=2),
    "sam": lambda weights: pytorch_optimizer.SAM(weights, base_optimizer=torch.optim.SGD, lr=LR),
}


def closure() -> torch.Tensor:
    """Evaluate the loss again, for those that ask."""
    optimizer.zero_grad()
    loss = (weight - 1).square().sum()
    loss.backward()
    return loss


seen, weight = Seen(), torch.nn.Parameter(parameter().detach().reshape(1, 1))
optimizer = MADE[sys.argv[1]]([weight])
optimizer.register_step_pre_hook(
    lambda one, _args, _kwargs: seen.moves.append([group["lr"] for group in one.param_groups])
)
if hasattr(optimizer, "train"):
    optimizer.train()
for _ in range(6):
    closure()
    if sys.argv[1] == "sam":
        optimizer.step(closure)
    else:
        optimizer.step()
seen.write()
