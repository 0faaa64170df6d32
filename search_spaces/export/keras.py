"""The candidate as text for Keras 3: a LearningRateSchedule, and the optimizer where it is the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..candidate import Candidate
from ..optimizers import SGD, Adam, AdamW, Lion
from .factor import factor_imports, factor_lines
from .pytorch import constants, header
from .text import comment, indented, module

Lines = list[str]

SCHEDULE = [
    "class Schedule(keras.optimizers.schedules.LearningRateSchedule):",
    *indented(['"""LR of each update, times the ratio of a parameter group."""', ""]),
    *indented(["def __init__(self, ratio=1.0):"]),
    *indented(["self.ratio = ratio"], 2),
    *indented(["self.rates = [INITIAL_LR * ratio * lr_factor(step) for step in range(TOTAL_STEPS)]", ""], 2),
    *indented(["def __call__(self, step):"]),
    *indented(['rates = keras.ops.convert_to_tensor(self.rates, dtype="float32")'], 2),
    *indented(['place = keras.ops.minimum(keras.ops.cast(step, "int32"), TOTAL_STEPS - 1)'], 2),
    *indented(["return keras.ops.take(rates, place)", ""], 2),
    *indented(["def get_config(self):"]),
    *indented(['return {"ratio": self.ratio}'], 2),
]
RATIOS = "Keras has one LR an optimizer: give each parameter group of LR_RATIOS an optimizer at Schedule(ratio)."


def keras_text(candidate: Candidate, horizon: int, _mode: str) -> str:
    """Return the module's text."""
    imports = [*factor_imports(candidate.schedule), "", "import keras"]
    head = [*header(candidate, horizon)[:1], "", *imports, "", *constants(candidate, horizon)]
    return module(head, factor_lines(candidate.schedule, horizon), SCHEDULE, _optimizer(candidate))


def _optimizer(candidate: Candidate) -> Lines:
    write = OPTIMIZERS.get(candidate.optimizer.kind)
    text = write(candidate.optimizer) if write is not None else None
    note = [comment(RATIOS)] if candidate.lr_ratios else []
    if text is None:
        title = candidate.optimizer.title
        return [
            *note,
            comment(f"Keras has no optimizer that is exactly {title} as it was trained:"),
            comment("take the one that you trust with learning_rate=Schedule()."),
        ]
    return [*note, f"optimizer = {text}"]


def _sgd(spec: SGD) -> str | None:
    # With momentum Keras sums up steps, torch gradients: a change of the LR acts at another time.
    if spec.momentum or spec.weight_decay:
        return None
    return "keras.optimizers.SGD(learning_rate=Schedule())"


def _adam(spec: Adam) -> str | None:
    return None if spec.weight_decay else f"keras.optimizers.Adam({_moments(spec)})  # its epsilon is Adam's eps hat"


def _adamw(spec: AdamW) -> str:
    decay = f"weight_decay={spec.weight_decay!r}"
    return f"keras.optimizers.AdamW({_moments(spec)}, {decay})  # its epsilon is Adam's eps hat"


def _lion(spec: Lion) -> str:
    betas = f"beta_1={spec.beta1!r}, beta_2={spec.beta2!r}"
    return f"keras.optimizers.Lion(learning_rate=Schedule(), {betas}, weight_decay={spec.weight_decay!r})"


def _moments(spec: Adam | AdamW) -> str:
    return f"learning_rate=Schedule(), beta_1={spec.beta1!r}, beta_2={spec.beta2!r}, epsilon={spec.eps!r}"


OPTIMIZERS: dict[str, Callable[[Any], str | None]] = {"sgd": _sgd, "adam": _adam, "adamw": _adamw, "lion": _lion}
"""What writes each optimizer; None where Keras's is another."""
