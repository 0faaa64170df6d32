"""The candidate as text for transformers: TrainingArguments where they say it exactly, else optimizer and scheduler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..candidate import Candidate
from ..optimizers import AdamW
from ..schedules import Constant, Cosine, InverseSqrt, Linear, Plateau, Polynomial, Schedule, Wsd
from ..steps import whole_steps
from .lightning import group_blocks, params_of
from .plateau import IN_FORCE, is_warmed_plateau
from .pytorch import SCHEDULER_IMPORT, header, pytorch_blocks
from .text import call, comment, indented, literal, module

Named = tuple[str, dict[str, Any]]

CALLBACK_IMPORT = "from transformers import TrainerCallback"
CLIPPING = "The Trainer clips gradients to max_grad_norm, 1.0 unless it is set; the candidate says nothing of that."
FOLLOWED = "The Trainer feeds the metric that its argument metric_for_best_model names, at each evaluation."
CALLED = "pair = optimizers(model, evaluations); Trainer(..., optimizers=pair, callbacks=[FollowsMetric(*pair)])"
CALLBACK = [
    "class FollowsMetric(TrainerCallback):",
    *indented(['"""Feeds the plateau at each evaluation; `monitor` is the metric that is followed."""', ""]),
    *indented(['def __init__(self, optimizer, scheduler, monitor="eval_loss"):']),
    *indented(["self.plateau, self.scheduler, self.monitor = optimizer.plateau, scheduler, monitor", ""], 2),
    *indented(["def on_evaluate(self, args, state, control, metrics, **others):"]),
    *indented(["self.plateau.step(metrics[self.monitor])", "put_in_force(self.scheduler)"], 2),
]


def transformers_text(candidate: Candidate, horizon: int, mode: str) -> str:
    """Return the module's text."""
    arguments = training_arguments(candidate, horizon)
    if arguments is not None:
        return _arguments_text(candidate, horizon, arguments)
    head, *functions = pytorch_blocks(candidate, horizon, mode)
    follows = []
    if is_warmed_plateau(candidate.schedule):
        head = [part for line in head for part in ([line, CALLBACK_IMPORT] if line == SCHEDULER_IMPORT else [line])]
        follows = [IN_FORCE, CALLBACK]
    return module(head, *functions, *group_blocks(candidate), *follows, _pair(candidate))


def _pair(candidate: Candidate) -> list[str]:
    """Return the function that gives the Trainer its optimizer and scheduler."""
    follows, warmed = isinstance(candidate.schedule, Plateau), is_warmed_plateau(candidate.schedule)
    parameters = "model, evaluations" if follows else "model"
    built = f"build({params_of(candidate, 'model')}{', evaluations' if follows else ''})"
    body = [f"return {built}"]
    if warmed:
        body = [f"optimizer, scheduler, optimizer.plateau = {built}", "return optimizer, scheduler"]
    words = ['"""Return what Trainer takes as `optimizers`, for a training of TOTAL_STEPS updates.', "", CLIPPING]
    words += [CALLED if warmed else FOLLOWED] if follows else []
    return [f"def optimizers({parameters}):", *indented([*words, '"""', *body])]


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
    start = schedule.end_factor if isinstance(schedule, Wsd) else 0.0  # where transformers' warm-up begins
    is_plain = warmup is None or (warmup.shape, warmup.inclusive, warmup.start_factor) == ("linear", False, start)
    if not is_plain or schedule.reverse or schedule.kind not in NAMES:
        return None
    if schedule.restarts is not None and schedule.kind != "cosine":
        return None
    body = horizon - (warmup.steps(horizon) if warmup else 0)
    return NAMES[schedule.kind](schedule, initial_lr, body)


def _constant(schedule: Constant, _lr: float, _body: int) -> Named:
    return ("constant_with_warmup" if schedule.warmup else "constant"), {}


def _linear(schedule: Linear, _lr: float, _body: int) -> Named | None:
    return ("linear", {}) if (schedule.start_factor, schedule.end_factor) == (1, 0) else None


def _cosine(schedule: Cosine, _lr: float, body: int) -> Named | None:
    if schedule.restarts is not None:
        return _hard_restarts(schedule, body)
    waves = {} if schedule.cycles == 0.5 else {"num_cycles": schedule.cycles}
    if schedule.end_factor:
        return "cosine_with_min_lr", {"min_lr_rate": schedule.end_factor, **waves}
    return "cosine", waves


def _hard_restarts(schedule: Cosine, body: int) -> Named | None:
    restarts = schedule.restarts
    assert restarts is not None
    count = restarts.count
    is_even = body % count == 0 and restarts.length_multiplier == 1 and restarts.peak_gamma == 1
    # At a cycle's first step transformers' remainder has to be 0: rounding may leave it just under 1.
    is_even = is_even and all(count * (cycle * (body // count) / body) % 1 == 0 for cycle in range(count))
    if not is_even or schedule.end_factor or schedule.cycles != 0.5:
        return None
    return "cosine_with_restarts", {"num_cycles": count}


def _polynomial(schedule: Polynomial, lr: float, body: int) -> Named | None:
    if schedule.cycle or whole_steps(schedule.cycle_length, body) != body or schedule.end_factor == 1:
        return None
    return "polynomial", {"power": schedule.power, "lr_end": schedule.end_factor * lr}


def _inverse_sqrt(schedule: InverseSqrt, _lr: float, body: int) -> Named:
    return "inverse_sqrt", {"timescale": whole_steps(schedule.timescale, body)}


def _wsd(schedule: Wsd, _lr: float, body: int) -> Named | None:
    if schedule.shape not in DECAYS:
        return None
    fields = {"num_decay_steps": whole_steps(schedule.decay_fraction, body), "decay_type": DECAYS[schedule.shape]}
    return "warmup_stable_decay", fields | ({"min_lr_ratio": schedule.end_factor} if schedule.end_factor else {})


DECAYS = {"linear": "linear", "cosine": "cosine", "sqrt": "1-sqrt"}
NAMES: dict[str, Callable[[Any, float, int], Named | None]] = {
    "constant": _constant, "linear": _linear, "cosine": _cosine, "polynomial": _polynomial,
    "inverse_sqrt": _inverse_sqrt, "wsd": _wsd,
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
