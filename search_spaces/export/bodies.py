"""The body of every kind as lines of plain Python over `t`, the step, and the length of the body in steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from ..schedules import (
    Constant,
    Cosine,
    Cyclic,
    Exponential,
    FormulaSchedule,
    InverseSqrt,
    InverseTime,
    Knots,
    Linear,
    Multistep,
    NaturalExponential,
    Noam,
    OneCycle,
    Piecewise,
    Polynomial,
    Power,
    Rex,
    Step,
    Tanh,
    TwoPoint,
    Wsd,
)
from ..schedules.interpolation import CLOSEST, through_pchip
from ..steps import whole_steps
from .formula import numpy_text

Lines = list[str]


@dataclass(frozen=True)
class Length:
    """The steps of the body: a number, or None where cycles differ in length and the text asks for `n`."""

    steps: int | None

    @property
    def n(self) -> str:
        """Return the length as text."""
        return "n" if self.steps is None else str(self.steps)

    def of(self, fraction: float) -> str:
        """Return a fraction of the body in whole steps, as text."""
        if self.steps is None:
            return f"max(1, math.floor({fraction!r} * n + 0.5))"
        return str(whole_steps(fraction, self.steps))


def body_lines(schedule: Any, length: Length) -> Lines:
    """Return the lines of a function of `t` (and `n`) that returns the body's factor; KeyError for `plateau`."""
    return BODIES[schedule.kind](schedule, length)


def _constant(_schedule: Constant, _length: Length) -> Lines:
    return ["return 1.0"]


def _piecewise(schedule: Piecewise, length: Length) -> Lines:
    bounds = ", ".join(length.of(share) for share in schedule.boundaries)
    return [f"return {schedule.values!r}[bisect.bisect_right([{bounds}], t)]"]


def _step(schedule: Step, length: Length) -> Lines:
    return [f"return {schedule.gamma!r} ** (t // {length.of(schedule.step_size)})"]


def _multistep(schedule: Multistep, length: Length) -> Lines:
    milestones = ", ".join(length.of(share) for share in schedule.milestones)
    return [f"return {schedule.gamma!r} ** bisect.bisect_right([{milestones}], t)"]


def _exponential(schedule: Exponential, length: Length) -> Lines:
    return [f"return {schedule.final_factor!r} ** (t / {length.n})"]


def _natural_exponential(schedule: NaturalExponential, length: Length) -> Lines:
    return [f"return math.exp(-{schedule.rate!r} * t / {length.n})"]


def _inverse_time(schedule: InverseTime, length: Length) -> Lines:
    return [f"return 1 / (1 + {schedule.decay!r} * t / {length.n})"]


def _linear(schedule: Linear, length: Length) -> Lines:
    return [f"u = t / {length.n}", f"return {schedule.start_factor!r} * (1 - u) + {schedule.end_factor!r} * u"]


def _polynomial(schedule: Polynomial, length: Length) -> Lines:
    end = f"{length.of(schedule.cycle_length)}"
    lines = [f"end = {end}"]
    if schedule.cycle:
        lines.append("end *= max(1, -(-t // end))")
    e = schedule.end_factor
    return [*lines, f"return {1 - e!r} * (1 - min(t, end) / end) ** {schedule.power!r} + {e!r}"]


def _cosine(schedule: Cosine, length: Length) -> Lines:
    e = schedule.end_factor
    wave = f"math.cos(2 * math.pi * {schedule.cycles!r} * t / {length.n})"
    return [f"return {e!r} + {1 - e!r} * (1 + {wave}) / 2"]


def _noam(schedule: Noam, length: Length) -> Lines:
    return [f"w = {length.of(schedule.peak)}", "return min((t + 1) / w, math.sqrt(w / (t + 1)))"]


def _one_cycle(schedule: OneCycle, length: Length) -> Lines:
    first, last = 1 / schedule.div_factor, 1 / (schedule.div_factor * schedule.final_div_factor)
    turns = f"(0.0, {first!r}), (peak, 1.0), ({length.n} - 1, {last!r})"
    if schedule.three_phase:
        turns = f"(0.0, {first!r}), (peak, 1.0), (2 * peak, {first!r}), ({length.n} - 1, {last!r})"
    eased = "(1 - math.cos(math.pi * share)) / 2" if schedule.anneal == "cos" else "share"
    return [
        f"peak = {schedule.peak_fraction!r} * {length.n} - 1",
        f"turns = [{turns}]",
        "(left, high), (right, low) = next(pair for pair in zip(turns, turns[1:]) if t <= pair[1][0])",
        "share = (t - left) / (right - left)",
        f"share = {eased}",
        "return high * (1 - share) + low * share",
    ]


def _cyclic(schedule: Cyclic, length: Length) -> Lines:
    scale = {"triangular": "1.0", "triangular2": "0.5 ** cycle", "exp_range": f"{schedule.gamma!r} ** t"}
    up = f"share / {schedule.up_fraction!r}"
    if schedule.up_fraction < 1:
        up += f" if share <= {schedule.up_fraction!r} else (1 - share) / {1 - schedule.up_fraction!r}"
    return [
        f"length = {length.of(schedule.cycle_length)}",
        "cycle, place = divmod(t, length)",
        "share = place / length",
        f"height = {up}",
        f"return {schedule.floor!r} + {1 - schedule.floor!r} * height * {scale[schedule.mode]}",
    ]


def _wsd(schedule: Wsd, length: Length) -> Lines:
    e = schedule.end_factor
    falls = {"linear": "1 - v", "cosine": "(1 + math.cos(math.pi * v)) / 2", "sqrt": "1 - math.sqrt(v)"}
    lines = [f"decay = {length.of(schedule.decay_fraction)}", f"v = max(t - ({length.n} - decay), 0) / decay"]
    if schedule.shape == "exponential":
        return [*lines, f"return {e!r} ** v"]
    return [*lines, f"return {e!r} + {1 - e!r} * ({falls[schedule.shape]})"]


def _rex(schedule: Rex, length: Length) -> Lines:
    return [f"left = 1 - t / {length.n}", f"return left / ({schedule.beta!r} + {1 - schedule.beta!r} * left)"]


def _tanh(schedule: Tanh, length: Length) -> Lines:
    return [f"u = t / {length.n}", f"return (1 - math.tanh({schedule.low!r} * (1 - u) + {schedule.high!r} * u)) / 2"]


def _two_point(schedule: TwoPoint, length: Length) -> Lines:
    x0 = schedule.peak_at
    x1 = x0 + schedule.delta1 * (1 - x0)
    x2 = x1 + schedule.delta2 * (1 - x1)
    xs = [x0, x1, x2, 1.0]
    ys = [1.0, schedule.y1, schedule.delta_y * schedule.y1, schedule.end_factor]
    rise = [f"if u < {x0!r}:", f"    return u / {x0!r}"] if x0 else []
    through = _line(xs, ys) if schedule.interpolation == "linear" else _pchip(xs, ys)
    return [f"u = t / {length.n}", *rise, *through]


def _inverse_sqrt(schedule: InverseSqrt, length: Length) -> Lines:
    return [f"s = {length.of(schedule.timescale)}", "return math.sqrt(s / (t + s))"]


def _power(schedule: Power, length: Length) -> Lines:
    return [f"return (1 + t / {length.of(schedule.timescale)}) ** -{schedule.exponent!r}"]


def _knots(schedule: Knots, length: Length) -> Lines:
    if schedule.interpolation == "linear":
        return [f"u = t / {length.n}", *_line(schedule.positions, schedule.values)]
    *lines, last = _line(schedule.positions, np.log(schedule.values).tolist())
    logarithmic = [line.replace("return ", "return math.exp(") + ")" if "return " in line else line for line in lines]
    return [f"u = t / {length.n}", *logarithmic, last.replace("return ", "return math.exp(") + ")"]


def _expression(schedule: FormulaSchedule, length: Length) -> Lines:
    return [
        "F = np.float64",
        f"t, T = F(t), F({length.n})",
        "u = t / T",
        'with np.errstate(all="ignore"):',
        f"    return float({numpy_text(schedule.formula, schedule.numbers)})",
    ]


def _line(xs: Sequence[float], ys: Sequence[float]) -> Lines:
    """Return lines that go straight through knots at `u`; of two at one place the later holds."""
    return [
        f"xs = {[float(x) for x in xs]!r}",
        f"ys = {[float(y) for y in ys]!r}",
        "i = bisect.bisect_right(xs, u)",
        "if i == 0 or i == len(xs):",
        "    return ys[max(i - 1, 0)]",
        "return ys[i - 1] + (ys[i] - ys[i - 1]) * (u - xs[i - 1]) / (xs[i] - xs[i - 1])",
    ]


def _pchip(xs: Sequence[float], ys: Sequence[float]) -> Lines:
    """Return lines that follow the smooth curve through knots: a cubic is fixed by four of its points."""
    knots_x, knots_y = np.array(xs), np.array(ys)
    kept = np.append(np.diff(knots_x) > CLOSEST, True)
    starts = knots_x[kept]
    if len(starts) == 1:
        return [f"return {float(knots_y[-1])!r}"]
    pieces = []
    for left, right in pairwise(starts):
        at = through_pchip(left + (right - left) * np.arange(4) / 3, knots_x, knots_y)
        pieces.append([float(number) for number in (left, right - left, *_cubic(*at.tolist()))])
    return [
        f"pieces = {pieces!r}  # start, width, coefficients",
        "start, width, a, b, c, d = pieces[max(bisect.bisect_right([piece[0] for piece in pieces], u) - 1, 0)]",
        "v = min((u - start) / width, 1.0)",
        "return max(a + v * (b + v * (c + v * d)), 0.0)",
    ]


def _cubic(p0: float, p1: float, p2: float, p3: float) -> tuple[float, float, float, float]:
    """Return the coefficients of the cubic that has these values at 0, 1/3, 2/3 and 1."""
    slope = (-11 * p0 + 18 * p1 - 9 * p2 + 2 * p3) / 2
    bend = (18 * p0 - 45 * p1 + 36 * p2 - 9 * p3) / 2
    return p0, slope, bend, (-9 * p0 + 27 * p1 - 27 * p2 + 9 * p3) / 2


BODIES: dict[str, Callable[[Any, Length], Lines]] = {
    "constant": _constant, "piecewise": _piecewise, "step": _step, "multistep": _multistep,
    "exponential": _exponential, "natural_exponential": _natural_exponential, "inverse_time": _inverse_time,
    "linear": _linear, "polynomial": _polynomial, "cosine": _cosine, "noam": _noam, "one_cycle": _one_cycle,
    "cyclic": _cyclic, "wsd": _wsd, "rex": _rex, "tanh": _tanh, "two_point": _two_point,
    "inverse_sqrt": _inverse_sqrt, "power": _power, "knots": _knots, "expression": _expression,
}  # fmt: skip
"""What writes the body of each kind that is a function of the step."""
