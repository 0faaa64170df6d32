"""Schedules that torch has a class for, exact in every step; SequentialLR puts a warm-up in front of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..candidate import Candidate
from ..modifiers import Restarts, Warmup
from ..schedules import Cosine, Cyclic, Exponential, Linear, Multistep, NaturalExponential, OneCycle, Polynomial, Step
from ..steps import whole_steps
from .text import call

Lines = list[str]
LONGEST_CHAIN = 100_000
"""Steps up to which classes that go from each LR to the next are exact to 1e-9 of the peak."""
LEAST_START = 1e-6
"""Below it classes that multiply their way up from a first LR lose digits that no later LR gets back."""
OWN_RISE = frozenset({"one_cycle", "cyclic"})
"""Their classes set the LR of the optimizer by themselves, so that none goes behind a warm-up."""


def native_lines(candidate: Candidate, horizon: int) -> Lines | None:
    """Return lines that set `scheduler` by torch's own classes; None where no exact one exists."""
    schedule = candidate.schedule
    w = schedule.warmup.steps(horizon) if schedule.warmup else 0
    if schedule.reverse or horizon > LONGEST_CHAIN or schedule.kind not in NATIVE:
        return None
    if schedule.restarts is not None and (schedule.kind != "cosine" or w):
        return None
    body = NATIVE[schedule.kind](schedule, candidate, horizon - w)
    if body is None or schedule.warmup is None:
        return [f"scheduler = lr_scheduler.{body}"] if body else None
    rise = _rise(schedule.warmup, w)
    if rise is None or schedule.kind in OWN_RISE or getattr(schedule, "start_factor", 1.0) != 1:
        return None
    return [
        f"rise = lr_scheduler.{rise}",
        f"fall = lr_scheduler.{body}",
        f"scheduler = lr_scheduler.SequentialLR(optimizer, [rise, fall], milestones=[{w}])",
    ]


def _written(name: str, **arguments: object) -> str:
    return call(name, [("", "optimizer"), *((key, str(value)) for key, value in arguments.items())])


def _rise(warmup: Warmup, w: int) -> str | None:
    start = warmup.start_factor
    if start < LEAST_START and (warmup.shape == "constant" or not warmup.inclusive):
        return None
    if warmup.shape == "constant":
        return _written("ConstantLR", factor=start, total_iters=w)
    if warmup.shape != "linear":
        return None
    if not warmup.inclusive:
        return _written("LinearLR", start_factor=start, end_factor=1.0, total_iters=w)
    if w == 1:
        return _written("ConstantLR", factor=1.0, total_iters=1)
    return _written("LinearLR", start_factor=start + (1 - start) / w, end_factor=1.0, total_iters=w - 1)


def _constant(*_: object) -> str:
    return _written("ConstantLR", factor=1.0, total_iters=1)


def _step(schedule: Step, _candidate: Candidate, steps: int) -> str:
    return _written("StepLR", step_size=whole_steps(schedule.step_size, steps), gamma=schedule.gamma)


def _multistep(schedule: Multistep, _candidate: Candidate, steps: int) -> str:
    milestones = [whole_steps(share, steps) for share in schedule.milestones]
    return _written("MultiStepLR", milestones=milestones, gamma=schedule.gamma)


def _exponential(schedule: Exponential, _candidate: Candidate, steps: int) -> str:
    return _written("ExponentialLR", gamma=schedule.final_factor ** (1 / steps))


def _natural_exponential(schedule: NaturalExponential, _candidate: Candidate, steps: int) -> str:
    return _written("ExponentialLR", gamma=math.exp(-schedule.rate / steps))


def _linear(schedule: Linear, _candidate: Candidate, steps: int) -> str | None:
    if schedule.start_factor < LEAST_START:
        return None
    return _written("LinearLR", start_factor=schedule.start_factor, end_factor=schedule.end_factor, total_iters=steps)


def _polynomial(schedule: Polynomial, _candidate: Candidate, steps: int) -> str | None:
    if schedule.cycle or schedule.end_factor:
        return None
    return _written("PolynomialLR", total_iters=whole_steps(schedule.cycle_length, steps), power=schedule.power)


def _cosine(schedule: Cosine, candidate: Candidate, steps: int) -> str | None:
    # eta_min is one number for all groups: with LR ratios it would be another share of each.
    if schedule.cycles != 0.5 or (schedule.end_factor and candidate.lr_ratios):
        return None
    eta_min = schedule.end_factor * candidate.initial_lr
    if schedule.restarts is None:
        return _written("CosineAnnealingLR", T_max=steps, eta_min=eta_min)
    return _warm_restarts(schedule.restarts, steps, eta_min)


def _warm_restarts(restarts: Restarts, steps: int, eta_min: float) -> str | None:
    ends = restarts.ends(steps).tolist()
    multiplier = int(restarts.length_multiplier)
    grown = [sum(ends[0] * multiplier**cycle for cycle in range(count)) for count in range(1, restarts.count + 1)]
    if restarts.peak_gamma != 1 or multiplier < 1 or multiplier != restarts.length_multiplier or grown != ends:
        return None
    return _written("CosineAnnealingWarmRestarts", T_0=ends[0], T_mult=multiplier, eta_min=eta_min)


def _one_cycle(schedule: OneCycle, _candidate: Candidate, steps: int) -> str:
    return _written(
        "OneCycleLR", max_lr='[group["lr"] for group in optimizer.param_groups]', total_steps=steps,
        pct_start=schedule.peak_fraction, anneal_strategy=repr(schedule.anneal), cycle_momentum=False,
        div_factor=schedule.div_factor, final_div_factor=schedule.final_div_factor, three_phase=schedule.three_phase,
    )  # fmt: skip


def _cyclic(schedule: Cyclic, _candidate: Candidate, steps: int) -> str:
    length = whole_steps(schedule.cycle_length, steps)
    up = schedule.up_fraction * length
    return _written(
        "CyclicLR", base_lr=f'[{schedule.floor!r} * group["lr"] for group in optimizer.param_groups]',
        max_lr='[group["lr"] for group in optimizer.param_groups]', step_size_up=up, step_size_down=length - up,
        mode=repr(schedule.mode), gamma=schedule.gamma, cycle_momentum=False,
    )  # fmt: skip


NATIVE: dict[str, Callable[[Any, Candidate, int], str | None]] = {
    "constant": _constant, "step": _step, "multistep": _multistep, "exponential": _exponential,
    "natural_exponential": _natural_exponential, "linear": _linear, "polynomial": _polynomial, "cosine": _cosine,
    "one_cycle": _one_cycle, "cyclic": _cyclic,
}  # fmt: skip
"""What writes the call of torch's class over a body of so many steps, None where it would not be exact."""
