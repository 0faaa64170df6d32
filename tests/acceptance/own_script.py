"""A training script of somebody's own, searched by tests: plain PyTorch on digits, and a log of its reports."""

from __future__ import annotations

import json
import sys
import time

import torch
from sklearn.datasets import load_digits
from torch.nn import functional

from etude import Client

STEPS, BATCH, EVERY = 100, 64, 5


def main(name: str, update_seconds: float) -> None:
    digits = load_digits()
    images, labels = torch.tensor(digits.data / 16.0, dtype=torch.float32), torch.tensor(digits.target)
    for trial in Client().study(name).lease_trials():
        torch.manual_seed(trial.seed)
        model = torch.nn.Linear(64, 10)
        optimizer, scheduler = trial.build(model.parameters(), STEPS, evaluations=STEPS // EVERY)
        for step in range(1, STEPS + 1):
            time.sleep(update_seconds)  # what an update costs on a larger model
            chosen = torch.randint(1400, (BATCH,))
            loss = functional.cross_entropy(model(images[chosen]), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
            if step % EVERY:
                continue
            with torch.no_grad():
                value = functional.cross_entropy(model(images[1400:]), labels[1400:]).item()
            begun = time.perf_counter()
            stop = trial.report(step, value)
            said = {"study": trial.study, "number": trial.number, "step": step, "value": value, "stop": stop}
            print(json.dumps(said | {"seconds": time.perf_counter() - begun}), flush=True)
            if stop:
                break
    print("the study has ended", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
