"""One candidate of each optimizer's range that learns the task it is for; fixed seeds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from etude.task import Task
from search_spaces.candidate import Candidate
from search_spaces.optimizers import OPTIMIZERS
from workers.tasks.digits import DigitsMlp
from workers.tasks.embedding import Embedding
from workers.training import Evaluation, Training

DENSE: Mapping[str, tuple[float, dict[str, Any]]] = {
    "sgd": (0.1, {"momentum": 0.9, "nesterov": True, "weight_decay": 5e-4}),
    "adagrad": (3e-2, {}),
    "rmsprop": (1e-3, {}),
    "adam": (3e-3, {}),
    "amsgrad": (3e-3, {}),
    "adamw": (3e-3, {}),
    "nadam": (3e-3, {}),
    "nadamw": (3e-3, {}),
    "radam": (1e-2, {}),
    "adamax": (1e-2, {}),
    "adadelta": (1.0, {}),
    "adafactor": (3e-2, {}),
    "muon": (1e-2, {}),
    "adabound": (1e-3, {}),
    "amsbound": (1e-3, {}),
    "lion": (1e-3, {}),
    "prodigy": (1.0, {}),
    "schedule_free_sgd": (1.0, {}),
    "schedule_free_adamw": (5e-3, {}),
}
"""By kind: an initial LR and parameters for `digits-mlp`."""
SPARSE: Mapping[str, tuple[float, dict[str, Any]]] = {
    "sgd": (1.0, {"momentum": 0.95, "nesterov": True}),
    "adagrad": (0.1, {}),
    "sparse_adam": (1e-2, {}),
}
"""By kind: an initial LR and parameters for `embedding`."""


def learner(kind: str, *, sparse: bool = False) -> Candidate:
    """Return the candidate: constant where the optimizer or the task asks for it, else cosine, after a warm-up."""
    initial_lr, parameters = (SPARSE if sparse else DENSE)[kind]
    assert OPTIMIZERS[kind].lr_range.holds(initial_lr)
    constant = sparse or OPTIMIZERS[kind].constant_only
    return Candidate.model_validate({
        "optimizer": {"kind": kind, **parameters},
        "initial_lr": initial_lr,
        "schedule": {"kind": "constant" if constant else "cosine", "warmup": {"fraction": 0.05}},
    })  # fmt: skip


def learnt(task: type[Task], candidate: Candidate, *, seed: int = 0) -> Evaluation:
    """Train the candidate over the task's full horizon; return what its end shows."""
    horizon = task.epochs * task.steps_per_epoch
    *_, last = Training(task(), candidate, horizon_steps=horizon, seed=seed).evaluations(lambda: False)
    return last


def accuracy(kind: str, *, sparse: bool = False) -> float:
    """Return the validation accuracy that an optimizer's candidate ends with, between 0 and 1."""
    last = learnt(Embedding if sparse else DigitsMlp, learner(kind, sparse=sparse))
    return last.further["validation_accuracy"]
