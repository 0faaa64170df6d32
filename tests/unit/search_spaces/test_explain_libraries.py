"""Schedules of Keras and transformers are read as the libraries play them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from search_spaces.imported import explain
from tests.frameworks import keras as imported_keras
from tests.frameworks import transformers as imported_transformers

HORIZON = 120
FLOAT32 = 4 * float(np.finfo(np.float32).eps)
"""Keras computes in float32, in up to four roundings."""

KERAS = [
    "CosineDecay(0.01, 50, alpha=0.1, warmup_target=0.1, warmup_steps=10)",
    "CosineDecay(0.1, 50)",
    "CosineDecay(0.1, 500, alpha=0.2)",
    "ExponentialDecay(0.1, 20, 0.5)",
    "ExponentialDecay(0.1, 20, 0.5, staircase=True)",
    "ExponentialDecay(0.1, 20, 1.01)",
    "InverseTimeDecay(0.1, 20, 0.5)",
    "InverseTimeDecay(0.1, 20, 0.5, staircase=True)",
    "PolynomialDecay(0.1, 60, 0.01, power=2.0)",
    "PolynomialDecay(0.1, 25, 0.01, power=0.5, cycle=True)",
    "PolynomialDecay(0.1, 500, 0.01)",
    "PiecewiseConstantDecay([20, 60], [0.1, 0.01, 0.001])",
    "CosineDecayRestarts(0.1, 40, t_mul=1)",
    "CosineDecayRestarts(0.1, 40)",
]


@pytest.mark.parametrize("text", KERAS)
def test_keras_schedules_are_read_as_keras_plays_them(text: str) -> None:
    """The LR of every update is that of the real object, to float32."""
    played = eval(text, vars(imported_keras().optimizers.schedules))

    explained = explain(text, steps=HORIZON)

    expected = [float(played(step)) for step in range(HORIZON)]
    np.testing.assert_allclose(explained.lr, expected, rtol=0, atol=FLOAT32 * max(expected))  # type: ignore[arg-type]


TRANSFORMERS: list[tuple[str, dict[str, Any]]] = [
    ("linear", {}),
    ("cosine", {}),
    ("cosine", {"num_cycles": 1.5}),
    ("cosine_with_restarts", {"num_cycles": 4}),
    ("constant", {}),
    ("constant_with_warmup", {}),
    ("polynomial", {}),
    ("polynomial", {"power": 2.0, "lr_end": 0.001}),
    ("inverse_sqrt", {}),
    ("inverse_sqrt", {"timescale": 30}),
    ("cosine_with_min_lr", {"min_lr": 0.01}),
    ("cosine_with_min_lr", {"min_lr_rate": 0.2, "num_cycles": 1.5}),
    ("warmup_stable_decay", {"num_decay_steps": 30}),
    ("warmup_stable_decay", {"num_decay_steps": 30, "decay_type": "linear"}),
]


@pytest.mark.parametrize("warmup", [0, 15, 0.1])
@pytest.mark.parametrize(("name", "options"), TRANSFORMERS)
def test_training_arguments_are_read_as_transformers_plays_them(
    name: str, options: dict[str, Any], warmup: float, tmp_path: Path
) -> None:
    """The LR of every update is that of transformers' own scheduler, to 1e-9 of the peak."""
    transformers = imported_transformers()
    fields = {"learning_rate": 0.1, "max_steps": HORIZON, "lr_scheduler_type": name, "warmup_steps": warmup}
    fields |= {"lr_scheduler_kwargs": options} if options else {}
    arguments = transformers.TrainingArguments(output_dir=str(tmp_path), **fields)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    played = transformers.get_scheduler(
        name, optimizer, arguments.get_warmup_steps(HORIZON), HORIZON, arguments.lr_scheduler_kwargs
    )

    explained = explain(json.dumps(fields))

    expected = []
    for _ in range(HORIZON):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        played.step()
    np.testing.assert_allclose(explained.lr, expected, rtol=0, atol=1e-10)  # type: ignore[arg-type]
