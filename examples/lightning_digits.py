"""A training in Lightning, searched: python examples/lightning_digits.py NAME.

Start it as often as there are cores or GPUs: each process leases trials of the study NAME until it has ended. With the
package `lightning` write `import lightning.pytorch as pl`; the rest is the same.
"""

import sys

import pytorch_lightning as pl
import torch
from sklearn.datasets import load_digits
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from etude import Client
from etude.ask import LeasedTrial
from etude.lightning import TrialCallback, configure_optimizers

STEPS, BATCH = 110, 64


class Digits(pl.LightningModule):
    def __init__(self, trial: LeasedTrial) -> None:
        super().__init__()
        self.trial = trial
        self.layers = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))

    def loss(self, batch: list[torch.Tensor]) -> torch.Tensor:
        images, labels = batch
        return functional.cross_entropy(self.layers(images), labels)

    def training_step(self, batch: list[torch.Tensor], _index: int) -> torch.Tensor:
        return self.loss(batch)

    def validation_step(self, batch: list[torch.Tensor], _index: int) -> None:
        self.log("val_loss", self.loss(batch))

    def configure_optimizers(self) -> dict:
        return configure_optimizers(self.trial, self)


def main(name: str) -> None:
    digits = load_digits()
    images, labels = torch.tensor(digits.data / 16.0, dtype=torch.float32), torch.tensor(digits.target)
    train = DataLoader(TensorDataset(images[:1400], labels[:1400]), BATCH, shuffle=True)
    validate = DataLoader(TensorDataset(images[1400:], labels[1400:]), 512)
    study = Client().submit(
        name=name, task="external", trials=4, horizon={"steps": STEPS}, seed=1, space={"optimizers": ["sgd", "adamw"]},
        objective={"metric": "val_loss", "direction": "minimize"}, confirmation={"seeds": 2, "top": 1},
        idempotency_key=name,
    )  # fmt: skip
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    for trial in study.lease_trials():
        pl.seed_everything(trial.seed)
        callback = TrialCallback(trial, "val_loss")
        trainer = pl.Trainer(max_steps=trial.horizon_steps, callbacks=[callback], **quiet)
        trainer.fit(Digits(trial), train, validate)
        print(f"{trial.study} {trial.number}: {trainer.callback_metrics['val_loss']:.4f}", flush=True)
    print(study.best().sentence)


if __name__ == "__main__":
    main(sys.argv[1])
