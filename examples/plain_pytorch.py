"""A plain training loop, searched unchanged: python examples/plain_pytorch.py NAME.

Start it as often as there are cores or GPUs: each process leases trials of the study NAME until it has ended. The loop
is small on purpose, scikit-learn's handwritten digits and two layers; what makes it searched are the lines marked.
"""

import sys

import torch
from sklearn.datasets import load_digits
from torch.nn import functional

from etude import Client  # searched

STEPS, BATCH, EVERY = 120, 64, 12


def main(name: str) -> None:
    digits = load_digits()
    images = torch.tensor(digits.data / 16.0, dtype=torch.float32)
    labels = torch.tensor(digits.target)
    train, validate = slice(0, 1400), slice(1400, None)
    study = Client().submit(  # searched: the first process submits, the others find the same study
        name=name, task="external", trials=8, horizon={"steps": STEPS}, seed=1, space={"optimizers": ["sgd", "adamw"]},
        objective={"metric": "val_loss", "direction": "minimize"}, confirmation={"seeds": 2, "top": 1},
        idempotency_key=name,
    )  # fmt: skip
    for trial in study.lease_trials():  # searched
        torch.manual_seed(trial.seed)
        model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
        optimizer, scheduler = trial.build(model.parameters(), STEPS, evaluations=STEPS // EVERY)  # searched
        for step in range(1, STEPS + 1):
            chosen = torch.randint(1400, (BATCH,))
            loss = functional.cross_entropy(model(images[train][chosen]), labels[train][chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
            if step % EVERY == 0:
                with torch.no_grad():
                    value = functional.cross_entropy(model(images[validate]), labels[validate]).item()
                if trial.report(step, value):  # searched: pruned, or at the last step complete
                    break
        print(f"{trial.study} {trial.number}: {value:.4f} after {step} steps", flush=True)
    print(study.best().sentence)


if __name__ == "__main__":
    main(sys.argv[1])
