"""Forks a child that trains nothing and one that trains by itself, and ends with an error."""

from __future__ import annotations

import os

import torch
from seen import Seen, parameter

seen, weight = Seen(), parameter()
optimizer = torch.optim.SGD([weight], lr=0.5)


def train(updates: int) -> None:
    """Make so many updates."""
    for _ in range(updates):
        optimizer.zero_grad()
        weight.backward()
        with seen.update(weight):
            optimizer.step()


def in_a_child(updates: int) -> None:
    """Train in a fork of this process, which leaves as forks do, and wait for it."""
    if child := os.fork():
        os.waitpid(child, 0)
        return
    train(updates)
    os._exit(0)


train(3)
in_a_child(0)
in_a_child(2)
train(2)
seen.write()
raise ValueError("the data have ended")
