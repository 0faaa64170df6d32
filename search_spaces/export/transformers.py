"""The candidate as text for transformers: TrainingArguments where they say it exactly, else optimizer and scheduler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..candidate import Candidate
from ..optimizers import AdamW
from ..schedules import Constant, Cosine, InverseSqrt, Linear, Plateau, Polynomial, Schedule
from ..steps import whole_steps
from .lightning import group_blocks, params_of
from .pytorch import header, pytorch_blocks
from .text import call, comment, indented, literal, module

Named = tuple[str, dict[str, float]]

CLIPPING = "The Trainer clips gradients to max_grad_norm, 1.0 unless it is set; the candidate says nothing of that."
WARMED = "Call optimizer.plateau.step(metric) in a TrainerCallback's on_evaluate."


def transformers_text(candidate: Candidate, horizon: int, mode: str) -> str:
    """Return the module's text."""
    arguments = training_arguments(candidate, horizon)
    if arguments is not None:
        return _arguments_text(candidate, horizon, arguments)
    return module(*pytorch_blocks(candidate, horizon, mode), *group_blocks(candidate), _pair(candidate))


def _pair(candidate: Candidate) -> list[str]:
    """Return the function that gives the Trainer its optimizer and scheduler."""
    schedule = candidate.schedule
    follows = isinstance(schedule, Plateau)
    warmed = follows and schedule.warmup is not None
    parameters = "model, evaluations" if follows else "model"
    built = f"build({params_of(candidate, 'model')}{', evaluations' if follows else ''})"
    body = [f"return {built}"]
    if warmed:
        body = [f"optimizer, scheduler, optimizer.plateau = {built}", "return optimizer, scheduler"]
    words = ['"""Return what Trainer takes as `optimizers`, for a training of TOTAL_STEPS updates.', "", CLIPPING]
    return [f"def optimizers({parameters}):", *indented([*words, *([WARMED] if warmed else []), '"""', *body])]


def training_arguments(candidate: Candidate, horizon: int) -> dict[str, Any] | None:
    """Return the fields of TrainingArguments that are exactly this candidate; None where there are none.

    Only AdamW without weight decay is: the Trainer leaves biases and norms out of the decay.
    """
    optimizer, schedule = candidate.optimizer, candidate.schedule
    if not isinstance(optimizer, AdamW) or optimizer.weight_decay or candidate.lr_ratios:
        return None
    named = _scheduler(schedule, candidate.initial_lr, horizon)
    if named is None:
        return None
    fields: dict[str, Any] = {
        "max_steps": horizon, "learning_rate": candidate.initial_lr, "lr_scheduler_type": named[0],
        "warmup_steps": schedule.warmup.steps(horizon) if schedule.warmup else 0, "optim": "adamw_torch",
        "adam_beta1": optimizer.beta1, "adam_beta2": optimizer.beta2, "adam_epsilon": optimizer.eps,
        "weight_decay": 0.0,
    }  # fmt: skip
    return fields | ({"lr_scheduler_kwargs": named[1]} if named[1] else {})


def _scheduler(schedule: Schedule, initial_lr: float, horizon: int) -> Named | None:
    """Return transformers' name of the schedule and its keyword arguments, where both curves are one."""
    warmup = schedule.warmup
    is_plain = warmup is None or (warmup.shape == "linear" and not warmup.inclusive and warmup.start_factor == 0)
    if not is_plain or schedule.restarts is not None or schedule.reverse or schedule.kind not in NAMES:
        return None
    body = horizon - (warmup.steps(horizon) if warmup else 0)
    return NAMES[schedule.kind](schedule, initial_lr, body)


def _constant(schedule: Constant, _lr: float, _body: int) -> Named:
    return ("constant_with_warmup" if schedule.warmup else "constant"), {}


def _linear(schedule: Linear, _lr: float, _body: int) -> Named | None:
    return ("linear", {}) if (schedule.start_factor, schedule.end_factor) == (1, 0) else None


def _cosine(schedule: Cosine, _lr: float, _body: int) -> Named | None:
    if schedule.cycles != 0.5:
        return None
    return ("cosine_with_min_lr", {"min_lr_rate": schedule.end_factor}) if schedule.end_factor else ("cosine", {})


def _polynomial(schedule: Polynomial, lr: float, body: int) -> Named | None:
    if schedule.cycle or whole_steps(schedule.cycle_length, body) != body or schedule.end_factor == 1:
        return None
    return "polynomial", {"power": schedule.power, "lr_end": schedule.end_factor * lr}


def _inverse_sqrt(schedule: InverseSqrt, _lr: float, body: int) -> Named:
    return "inverse_sqrt", {"timescale": whole_steps(schedule.timescale, body)}


NAMES: dict[str, Callable[[Any, float, int], Named | None]] = {
    "constant": _constant, "linear": _linear, "cosine": _cosine, "polynomial": _polynomial,
    "inverse_sqrt": _inverse_sqrt,
}  # fmt: skip


def _arguments_text(candidate: Candidate, horizon: int, fields: dict[str, Any]) -> str:
    written = [(name, literal(value)) for name, value in fields.items()]
    return module(
        [
            *header(candidate, horizon)[:1],
            comment(CLIPPING),
            "",
            "from transformers import TrainingArguments",
            "",
            f"arguments = {call('TrainingArguments', [('output_dir', literal('out')), *written])}",
        ]
    )
