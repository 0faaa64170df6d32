"""A LightningModule with its own scheduler by step, whose optimizer is stepped with a closure."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import pytorch_lightning as lightning
import torch
from seen import Seen
from torch.utils.data import DataLoader, TensorDataset

logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
warnings.simplefilter("ignore")
seen = Seen()


class Regression(lightning.LightningModule):
    """One weight whose gradient is 1."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros((), dtype=torch.float64))

    def training_step(self, batch: Any, _index: int) -> torch.Tensor:
        """Return a loss whose gradient is 1 for every batch."""
        return self.weight * batch[0].mean()

    def configure_optimizers(self) -> Any:
        """Return SGD with an exponential decay by step."""
        optimizer = torch.optim.SGD(self.parameters(), lr=0.5)
        decay = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": decay, "interval": "step"}}

    def optimizer_step(self, *arguments: Any, **named: Any) -> None:
        """Step as ever, and look at what it did."""
        with seen.update(self.weight):
            super().optimizer_step(*arguments, **named)


batches = DataLoader(TensorDataset(torch.ones(12, dtype=torch.float64)), batch_size=2)
trainer = lightning.Trainer(
    max_epochs=2, accumulate_grad_batches=2, accelerator="cpu", logger=False, enable_checkpointing=False,
    enable_progress_bar=False, enable_model_summary=False,
)  # fmt: skip
trainer.fit(Regression(), batches)
seen.write()
