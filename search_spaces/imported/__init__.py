"""Schedules as other libraries write them, read from text: their name here, their spec, their curve, what looks wrong.

>>> explained = explain("CosineAnnealingLR(optimizer, T_max=50)", steps=100)
>>> explained.schedule.kind, [finding.code for finding in explained.findings]
('cosine', ['decay_ends_early', 'note'])

Nothing of the text is executed: JSON is parsed as JSON, code with `ast` as literals and calls.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import Field

from ..describe import describe_schedule
from ..model import Model
from ..problems import InvalidSpec, Unsupported
from ..schedules import AnySchedule, Plateau, curve
from ..time_strings import with_fractions
from . import timm_args, transformers_args
from .calls import LONGEST, Call, last_call
from .keras_schedules import KERAS
from .lint import Finding, Unit, lint
from .reading import Known, Reading, Setting
from .torch_schedulers import TORCH

KNOWN: Mapping[str, Known] = {**TORCH, **KERAS}


class Explained(Model):
    """What a text of another library means here."""

    read_as: str
    """The class or argument that was recognised."""
    schedule: AnySchedule
    words: str
    unit: Unit
    """What the horizon is counted in: updates, or epochs where the LR is set once an epoch."""
    horizon: int
    initial_lr: float | None = None
    """None where the text does not say it: `lr` is then in units of it."""
    lr: list[float] | None = Field(default=None)
    """The LR of every unit; None for a plateau, which follows a metric."""
    findings: list[Finding] = []


def explain(
    text: str,
    *,
    steps: int | None = None,
    epochs: int | None = None,
    steps_per_epoch: int | None = None,
    lr: float | None = None,
    per: Unit = "step",
) -> Explained:
    """Read one scheduler from a text: a constructor's call, or arguments as JSON or flags.

    Args:
        text: a call of torch.optim.lr_scheduler or keras.optimizers.schedules, `TrainingArguments(...)` or its JSON,
            timm's arguments as JSON or flags, or a schedule of ours as JSON, its lengths as fractions or time strings.
        steps: updates of the whole training; else `epochs` times `steps_per_epoch`, else the scheduler's own length.
        epochs: epochs of the training.
        steps_per_epoch: updates of an epoch.
        lr: the initial LR, where the text does not hold it.
        per: whether the script calls scheduler.step() once an update or once an epoch.

    Raises:
        InvalidSpec: the text is not understood, an argument is wrong or missing (its name is the field).
        Unsupported: the scheduler is known, but not this use of it.
    """
    if len(text) > LONGEST:
        raise InvalidSpec(f"the text is longer than {LONGEST} characters")
    if steps is None and epochs is not None and steps_per_epoch is not None:
        steps = epochs * steps_per_epoch
    reading, unit = _read(text.strip(), Setting(steps, lr, steps_per_epoch), epochs, per)
    schedule = reading.schedule()
    factors = None if isinstance(schedule, Plateau) else curve(schedule, reading.horizon)
    peak = reading.lr or lr
    return Explained(
        read_as=reading.origin,
        schedule=schedule,
        words=describe_schedule(schedule),
        unit=unit,
        horizon=reading.horizon,
        initial_lr=peak,
        lr=None if factors is None else ((peak or 1.0) * factors).tolist(),
        findings=lint(reading, factors, unit, epochs, steps_per_epoch),
    )


def _read(text: str, setting: Setting, epochs: int | None, per: Unit) -> tuple[Reading, Unit]:
    if text.startswith("--"):
        return timm_args.read_timm(timm_args.read_flags(text), setting), "epoch"
    if text.startswith("{"):
        return _read_arguments(_parsed(text), setting)
    call = last_call(text)
    if call.name in ("TrainingArguments", "Seq2SeqTrainingArguments"):
        return transformers_args.read_training_arguments(call.kwargs, setting), "step"
    if call.name not in KNOWN:
        raise Unsupported(f"{call.name} is not read; there are {', '.join(KNOWN)}")
    unit: Unit = "epoch" if call.name == "ReduceLROnPlateau" else per
    if unit == "epoch":
        setting = replace(setting, horizon=epochs)
    known = KNOWN[call.name]
    values = call.bound(known.parameters)
    setting = replace(setting, lr=setting.lr or _optimizer_lr(values.get("optimizer")))
    reading = known.read(values, setting)
    lr = reading.lr or setting.lr
    return replace(reading, origin=_origin(known, reading), lr=lr), unit


def _origin(known: Known, reading: Reading) -> str:
    return f"{known.origin.rpartition('.')[0]}.{reading.origin}"


def _optimizer_lr(optimizer: Any) -> float | None:
    """Return the LR of an optimizer that the text makes; None where it does not."""
    lr = optimizer.kwargs.get("lr") if isinstance(optimizer, Call) else None
    return lr if isinstance(lr, int | float) and lr > 0 else None


def _parsed(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidSpec(f"the JSON cannot be read: {error}") from None
    assert isinstance(document, dict)
    return document


def _read_arguments(document: dict[str, Any], setting: Setting) -> tuple[Reading, Unit]:
    if "kind" in document:
        return _read_own(document, setting), "step"
    if document.keys() & timm_args.SIGNS:
        return timm_args.read_timm(document, setting), "epoch"
    if document.keys() & transformers_args.SIGNS:
        return transformers_args.read_training_arguments(document, setting), "step"
    raise InvalidSpec("these are arguments neither of TrainingArguments nor of timm, and no schedule of ours")


def _read_own(document: dict[str, Any], setting: Setting) -> Reading:
    """Read a spec of ours, whose lengths may be time strings."""
    horizon = setting.horizon_or(None)
    return Reading("etude", with_fractions(document, horizon, setting.steps_per_epoch), horizon)


__all__ = ["Explained", "Finding", "Unit", "explain"]
