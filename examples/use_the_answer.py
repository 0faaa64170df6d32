"""Train a model of your own with the answer of a study: python examples/use_the_answer.py NAME.

The task is a small one on purpose: scikit-learn's handwritten digits and two layers. What matters is `build`, which
gives the very optimizer and schedule that were searched, drawn for as many updates as your training has.
"""

from __future__ import annotations

import sys

import torch
from sklearn.datasets import load_digits
from torch.nn import functional

from etude import Client
from etude.torch import build

STEPS, BATCH = 600, 64


def main(name: str) -> None:
    with Client() as client:
        answer = client.best(name)
    print(answer.sentence)

    digits = load_digits()
    images = torch.tensor(digits.data / 16.0, dtype=torch.float32)
    labels = torch.tensor(digits.target)
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
    optimizer, scheduler = build(answer, model.parameters(), total_steps=STEPS)
    for step in range(STEPS):
        chosen = torch.randint(len(labels), (BATCH,))
        loss = functional.cross_entropy(model(images[chosen]), labels[chosen])
        loss.backward()
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
        if step % 100 == 0:
            print(f"step {step:4d}  lr {optimizer.param_groups[0]['lr']:.2e}  loss {loss.item():.4f}")


if __name__ == "__main__":
    main(sys.argv[1])
