"""Writes its metric in every way there is, at a number of updates that it writes with it."""

from __future__ import annotations

import csv
import logging
import os
import sys
from pathlib import Path

import torch
from seen import Seen, parameter
from tqdm import tqdm

torch.manual_seed(17)
seen, weight = Seen(), parameter()
optimizer = torch.optim.SGD([weight], lr=0.5)
scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
logging.basicConfig(stream=sys.stdout, format="%(levelname)s %(message)s", level=logging.INFO)


def train(updates: int) -> None:
    """Make so many updates."""
    for _ in range(updates):
        optimizer.zero_grad()
        weight.backward()
        with seen.update(weight):
            optimizer.step()
        scheduler.step()


class Tee:
    """Writes to two places, as many scripts have one."""

    def __init__(self, first: object, second: object) -> None:
        self.places = (first, second)

    def write(self, text: str) -> None:
        """Write to both."""
        for place in self.places:
            place.write(text)

    def flush(self) -> None:
        """Flush both."""
        for place in self.places:
            place.flush()


train(1)
print("val_loss=1")
train(1)
logging.info("epoch 1: val_loss=2, lr %s", optimizer.param_groups[0]["lr"])
train(1)
sys.stderr.write("val_")
train(1)
sys.stderr.write("loss=4\n")
with tqdm(total=2, file=sys.stderr, mininterval=0) as bar:
    for updates in (5, 6):
        train(1)
        bar.set_postfix_str(f"val_loss={updates}")
train(1)
with Path(os.devnull).open("w") as nowhere:
    sys.stdout = Tee(sys.stdout, nowhere)
    print("val_loss=7")
    train(1)
    print("val_loss=8")
    sys.stdout = sys.__stdout__
sys.stdout = open(sys.stdout.fileno(), "w", buffering=1, closefd=False)  # noqa: SIM115 - for the whole process
train(1)
print("val_loss=9")
log = Path(os.environ["SEEN"] + ".csv")
for _ in range(2):
    train(1)
    with log.open("a") as file:
        csv.writer(file).writerow([len(seen.moves), 0.5])
train(1)
seen.write()
print("val_loss=12", end="")
