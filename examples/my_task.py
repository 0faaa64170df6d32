"""A task of your own for Étude's workers: data, model, loss and metric, and nothing of optimizers and learning rates.

    etude task check examples.my_task:Tumours       # one short trial, and in words what is wrong
    etude worker --task examples.my_task:Tumours    # offers it; then, elsewhere:
    etude submit --task tumours --param hidden=16 --trials 20 --wait

The data are scikit-learn's breast cancer set: 569 rows of 30 measurements, malignant or benign.
"""

from __future__ import annotations

import torch
from pydantic import BaseModel, Field
from sklearn.datasets import load_breast_cancer
from torch import Tensor, nn
from torch.nn import functional

from etude.task import Split, Task

PARTS = {"train": slice(0, 369), "validation": slice(369, 469), "test": slice(469, 569)}


class Params(BaseModel):
    """What a study may set; its JSON Schema is in GET /v1/tasks, and a wrong value is refused at submission."""

    hidden: int = Field(16, ge=1, le=256, description="width of the hidden layer")


class Tumours(Task):
    """Two layers that tell malignant from benign."""

    name = "tumours"
    metric = "loss"
    further_metrics = ("accuracy",)
    epochs = 20
    steps_per_epoch = 12
    batch_size = 32
    Params = Params

    def __init__(self, params: dict | None = None, device: str = "cpu") -> None:
        super().__init__(params, device)
        rows, labels = load_breast_cancer(return_X_y=True)
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
        measured, told = torch.tensor(rows, dtype=torch.float32)[order], torch.tensor(labels)[order]
        known = measured[PARTS["train"]]  # what is scaled by must not come from rows that judge
        self.rows = ((measured - known.mean(dim=0)) / known.std(dim=0)).to(device)
        self.labels = told.to(device)

    def model(self, seed: int) -> nn.Module:  # noqa: ARG002 - torch is seeded with it beforehand
        hidden = self.params.hidden
        return nn.Sequential(nn.Linear(30, hidden), nn.ReLU(), nn.Dropout(0.1), nn.Linear(hidden, 2)).to(self.device)

    def batch(self, step: int, seed: int) -> tuple[Tensor, Tensor]:
        drawn = torch.Generator().manual_seed(seed * 1_000_003 + step)
        chosen = torch.randint(PARTS["train"].stop, (self.batch_size,), generator=drawn)
        return self.rows[chosen], self.labels[chosen]

    def loss(self, model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        rows, labels = batch
        return functional.cross_entropy(model(rows), labels)

    def examples(self, split: Split) -> list[tuple[Tensor, Tensor]]:
        return [(self.rows[PARTS[split]], self.labels[PARTS[split]])]

    def metrics(self, model: nn.Module, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        rows, labels = batch
        scores = model(rows)
        right = (scores.argmax(dim=1) == labels).float()
        return {"loss": functional.cross_entropy(scores, labels), "accuracy": right.mean()}
