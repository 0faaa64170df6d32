"""The whole schedule as one function of the step, `lr_factor`, in plain Python."""

from __future__ import annotations

from itertools import pairwise

from ..modifiers import Warmup
from ..schedules import Schedule, warmup_steps
from .bodies import BODIES, Length, body_lines
from .text import comment, indented

Lines = list[str]


def factor_imports(schedule: Schedule) -> Lines:
    """Return the imports that the function of `factor_lines` needs."""
    numpy = ["", "import numpy as np"] if schedule.kind == "expression" else []
    return ["import bisect", "import math", *numpy]


def factor_lines(schedule: Schedule, horizon: int) -> Lines:
    """Return the text of `lr_factor(step)`, which holds after the last of `horizon` steps.

    The horizon has to fit the schedule, and the schedule to be a function of the step.
    """
    w = warmup_steps(schedule, horizon)
    ends = [0, horizon - w]
    if schedule.restarts is not None:
        ends = [0, *schedule.restarts.ends(horizon - w).tolist()]
    lengths = {b - a for a, b in pairwise(ends)}
    length = Length(lengths.pop() if len(lengths) == 1 else None)
    return [
        "def body(t, n):" if length.steps is None else "def body(t):",
        *indented([comment(type(schedule).law), *body_lines(schedule, length)]),
        "",
        "",
        "def lr_factor(step):",
        *indented(['"""LR of update `step` (the first is 0) in units of INITIAL_LR; the last value is held."""']),
        *indented([f"t = min(step, {horizon - 1})", *_warmup(schedule.warmup, w)]),
        *indented(_cycle(schedule, ends, length)),
        *indented([f"return {_product(schedule)}body({'t' if length.steps is not None else 't, n'})"]),
    ]


def warmup_lines(warmup: Warmup, w: int) -> Lines:
    """Return the text of `rise(step)`, what a warm-up of `w` steps multiplies the LR by."""
    return ["def rise(step):", *indented([*_rise("step", warmup, w), "return rise"])]


def is_a_function_of_the_step(schedule: Schedule) -> bool:
    """Tell whether `factor_lines` can write the schedule."""
    return schedule.kind in BODIES


def _warmup(warmup: Warmup | None, w: int) -> Lines:
    if warmup is None:
        return []
    return [*_rise("t", warmup, w), f"t = max(t - {w}, 0)"]


def _rise(step: str, warmup: Warmup, w: int) -> Lines:
    start = warmup.start_factor
    v = f"({step} + 1) / {w}" if warmup.inclusive else f"{step} / {w}"
    shapes = {
        "linear": f"{start!r} + {1 - start!r} * {v}",
        "cosine": f"{start!r} + {1 - start!r} * (1 - math.cos(math.pi * {v})) / 2",
        "exponential": f"{start!r} ** (1 - {v})",
        "constant": f"{start!r}",
    }
    return ["rise = 1.0", f"if {step} < {w}:", f"    rise = {shapes[warmup.shape]}"]


def _cycle(schedule: Schedule, ends: list[int], length: Length) -> Lines:
    lines: Lines = []
    if schedule.restarts is not None:
        lines += [f"ends = {ends!r}  # where the cycles begin and end", "cycle = bisect.bisect_right(ends, t) - 1"]
        lines += ["n = ends[cycle + 1] - ends[cycle]"] if length.steps is None else []
        lines += ["t -= ends[cycle]"]
    if schedule.reverse:
        lines.append(f"t = {length.n} - 1 - t")
    return lines


def _product(schedule: Schedule) -> str:
    peaks = schedule.restarts is not None and schedule.restarts.peak_gamma != 1
    peak = f"{schedule.restarts.peak_gamma!r} ** cycle * " if peaks and schedule.restarts is not None else ""
    return ("rise * " if schedule.warmup is not None else "") + peak
