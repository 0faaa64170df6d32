"""transformers' TrainingArguments, with its defaults, read as the curve that its Trainer plays."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ..problems import InvalidSpec, Unsupported
from .reading import Document, Reading, Setting, formula, number, polynomial, warmed, whole

Values = dict[str, Any]
Body = Callable[[int], Document]

DEFAULTS: Mapping[str, Any] = {
    "learning_rate": 5e-5, "lr_scheduler_type": "linear", "lr_scheduler_kwargs": None, "warmup_steps": 0,
    "warmup_ratio": 0.0, "max_steps": -1, "num_train_epochs": 3.0,
}  # fmt: skip
"""The arguments that make the curve; all others are passed over."""
SIGNS = frozenset(DEFAULTS)


def read_training_arguments(given: Mapping[str, Any], setting: Setting) -> Reading:
    """Read the arguments as JSON or as a call holds them.

    Raises:
        InvalidSpec: an argument is wrong, or the horizon is not known.
        Unsupported: the schedule follows a metric.
    """
    values = {**DEFAULTS, **{name: value for name, value in given.items() if value is not None}}
    lr, horizon = number(values, "learning_rate", above=0), _horizon(values, setting)
    warmup = _warmup_steps(values, horizon)
    kind = str(getattr(values["lr_scheduler_type"], "name", values["lr_scheduler_type"]))
    kind = kind.rpartition(".")[2].lower()
    if kind not in NAMES:
        raise Unsupported(f"{kind} is not read; there are {', '.join(NAMES)}", field="lr_scheduler_type")
    extra = values["lr_scheduler_kwargs"] or {}
    _check(extra)
    reading = Reading(f"transformers {kind}", {}, horizon, lr, span=warmup or None, span_name="the warm-up")
    if kind == "constant":
        notes = ("constant ignores the warm-up: constant_with_warmup has one",) if warmup else ()
        return replace(reading, document={"kind": "constant"}, notes=notes)
    body = NAMES[kind](extra, lr, warmup)
    return replace(reading, document=warmed(body, horizon, warmup), warmup=warmup)


def _check(extra: Any) -> None:
    if not isinstance(extra, dict):
        raise InvalidSpec("an object is meant", field="lr_scheduler_kwargs")
    for name, value in extra.items():
        if value is not None and not str(name).endswith("_type"):
            number(extra, name)


def _horizon(values: Values, setting: Setting) -> int:
    steps = number(values, "max_steps")
    if steps > 0:
        return replace(setting, horizon=int(steps)).horizon_or(None)
    if setting.horizon is None and setting.steps_per_epoch is None:
        raise InvalidSpec("there is no max_steps: give --steps or --steps-per-epoch", field="steps")
    return setting.horizon_or(math.ceil(number(values, "num_train_epochs", above=0) * (setting.steps_per_epoch or 1)))


def _warmup_steps(values: Values, horizon: int) -> int:
    steps = number(values, "warmup_steps")
    # Since version 5 a number below 1 is a ratio.
    ratio = steps if 0 < steps < 1 else number(values, "warmup_ratio")
    return int(steps) if steps >= 1 else math.ceil(ratio * horizon)


def _constant(_extra: Values, _lr: float, _warmup: int) -> Body:
    return lambda _: {"kind": "constant"}


def _linear(_extra: Values, _lr: float, _warmup: int) -> Body:
    return lambda _: {"kind": "linear"}


def _cosine(extra: Values, lr: float, _warmup: int) -> Body:
    end = extra["min_lr_rate"] if extra.get("min_lr_rate") is not None else (extra.get("min_lr") or 0.0) / lr
    return lambda _: {"kind": "cosine", "end_factor": end, "cycles": extra.get("num_cycles", 0.5)}


def _with_restarts(extra: Values, _lr: float, _warmup: int) -> Body:
    cycles = whole({"num_cycles": 1} | extra, "num_cycles")

    def body(steps: int) -> Document:
        if steps % cycles == 0:
            return {"kind": "cosine", "restarts": {"count": cycles}}
        return formula(f"(1 + cos(pi * (({cycles} * (t / {steps})) % 1))) / 2")

    return body


def _polynomial(extra: Values, lr: float, _warmup: int) -> Body:
    power, end = extra.get("power", 1.0), extra.get("lr_end", 1e-7) / lr
    return lambda steps: polynomial(steps, steps, power, end)


def _inverse_sqrt(extra: Values, _lr: float, warmup: int) -> Body:
    scale = extra.get("timescale") or warmup or 10_000

    def body(steps: int) -> Document:
        if scale <= steps:
            return {"kind": "inverse_sqrt", "timescale": scale / steps}
        return formula(f"sqrt({scale} / (t + {scale}))")

    return body


def _stable_decay(extra: Values, _lr: float, _warmup: int) -> Body:
    decay = whole(extra if "num_decay_steps" in extra else {"num_decay_steps": 0}, "num_decay_steps")
    shapes = {"linear": "linear", "cosine": "cosine", "1-sqrt": "sqrt"}
    shape = shapes.get(extra.get("decay_type", "cosine"))
    if shape is None or extra.get("warmup_type", "linear") != "linear" or extra.get("num_stable_steps") is not None:
        raise InvalidSpec(
            "decay_type linear, cosine or 1-sqrt and num_decay_steps are read", field="lr_scheduler_kwargs"
        )
    end = extra.get("min_lr_ratio", 0.0)
    return lambda steps: {"kind": "wsd", "decay_fraction": decay / steps, "shape": shape, "end_factor": end}


NAMES: dict[str, Callable[[Values, float, int], Body]] = {
    "linear": _linear, "cosine": _cosine, "cosine_with_restarts": _with_restarts, "polynomial": _polynomial,
    "constant": _constant, "constant_with_warmup": _constant, "inverse_sqrt": _inverse_sqrt,
    "cosine_with_min_lr": _cosine, "warmup_stable_decay": _stable_decay,
}  # fmt: skip
"""What reads the body of each `lr_scheduler_type`, from its own arguments, the LR and the steps of the warm-up."""
