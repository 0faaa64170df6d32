"""From a schedule to its numbers: modifiers put around the body, closed-form and stateless in the step."""

from __future__ import annotations

import numpy as np

from ..problems import HorizonTooShort, Unsupported
from .base import Floats, Schedule, Shortfall, Steps

AREA_POINTS = 1000
"""At which the area under a long curve is read."""
MOST_STEPS = 2**40
"""Beyond this no horizon is looked for that a spec would fit."""


def factors(schedule: Schedule, steps: Steps, horizon: int, *, hold: bool = False) -> Floats:
    """Return f(t), the LR in units of the initial LR, at each of `steps`, an integer array of any shape.

    With `hold` the last value goes on after the end. Each number depends on its step alone, so a curve may be asked
    for in pieces and in any order.

    Raises:
        ValueError: a step lies outside [0, horizon), or below 0 when `hold` is set.
        HorizonTooShort: the spec does not fit into `horizon` steps.
        Unsupported: `plateau` follows a metric, `script` a training script: neither has a curve of its own.
    """
    _check_fit(schedule, horizon)
    t = np.asarray(steps)
    if t.dtype.kind not in "iu":
        raise ValueError(f"steps are whole numbers, not {t.dtype}")
    if t.size and (t.min() < 0 or (t.max() >= horizon and not hold)):
        raise ValueError(f"steps lie in [0, {horizon}), these in [{t.min()}, {t.max()}]")
    flat = np.minimum(t.reshape(-1).astype(np.int64), horizon - 1)
    return _warmed(schedule, flat, horizon).reshape(t.shape)


def curve(schedule: Schedule, horizon: int) -> Floats:
    """Return the factor of every step of a horizon: float64 of shape (horizon,)."""
    return factors(schedule, np.arange(horizon, dtype=np.int64), horizon)


def check_horizon(schedule: Schedule, horizon: int) -> None:
    """Refuse a horizon that the schedule does not fit into.

    Raises:
        HorizonTooShort: with the field that asks for more (`warmup.fraction`) and the least number of steps.
        InvalidSpec: the curve itself shows what is wrong (a negative or non-finite value of an expression).
    """
    _check_fit(schedule, horizon)
    if schedule.along_the_curve:
        curve(schedule, horizon)


def area_left(schedule: Schedule, step: int, horizon: int) -> float:
    """Return the share of the area under the LR curve that lies ahead after `step` updates: 1 at the start, 0 at T.

    A schedule whose curve is not known before (`plateau`, `script`) counts as constant. A long curve is read at a
    thousand steps.

    >>> from .linear import Linear
    >>> round(area_left(Linear(), 50, 100), 2)
    0.25
    """
    steps = np.arange(horizon) if horizon <= AREA_POINTS else np.linspace(0, horizon - 1, AREA_POINTS).round()
    whole = steps.astype(np.int64)
    try:
        values = factors(schedule, whole, horizon)
    except Unsupported:
        values = np.ones(whole.shape)
    total = float(values.sum())
    return float(values[whole >= step].sum()) / total if total else 1 - step / horizon


def fits(schedule: Schedule, horizon: int) -> bool:
    """Tell whether a schedule can be drawn for so many steps."""
    return _shortfall(schedule, horizon) is None


def warmup_steps(schedule: Schedule, horizon: int) -> int:
    """Return the steps of the schedule's warm-up modifier; 0 without one."""
    return schedule.warmup.steps(horizon) if schedule.warmup else 0


def rise_steps(schedule: Schedule, horizon: int) -> int:
    """Return how many steps pass until the first peak, by the warm-up or by the body's own rise."""
    w = warmup_steps(schedule, horizon)
    if schedule.restarts is not None or schedule.reverse:
        return w
    return w + schedule.rise(horizon - w)


def _check_fit(schedule: Schedule, horizon: int) -> None:
    missing = _shortfall(schedule, horizon)
    if missing is None:
        return
    least = _least_steps(schedule, max(horizon, 0))
    raise HorizonTooShort(
        f"{horizon} steps are too few: {missing.detail}; it takes at least {least}",
        field=missing.field, least_steps=least,
    )  # fmt: skip


def _shortfall(schedule: Schedule, horizon: int) -> Shortfall | None:
    if horizon < 1:
        return Shortfall("horizon", "a training has at least one step")
    left = horizon - warmup_steps(schedule, horizon)
    if left < 1:
        return Shortfall("warmup.fraction", "the warm-up leaves no step to what follows it")
    if schedule.restarts is None:
        return schedule.shortfall(left)
    lengths = np.diff(schedule.restarts.ends(left), prepend=0)
    if lengths.min() < 1:
        return Shortfall("restarts.count", "a cycle has no step")
    return schedule.shortfall(int(lengths.min()))


def _least_steps(schedule: Schedule, too_few: int) -> int:
    """Return a horizon that fits while one step less does not, found by doubling and halving."""
    enough = max(1, 2 * too_few)
    while _shortfall(schedule, enough) is not None and enough < MOST_STEPS:
        enough *= 2
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        if _shortfall(schedule, middle) is None:
            enough = middle
        else:
            too_few = middle
    return enough


def _warmed(schedule: Schedule, t: Steps, horizon: int) -> Floats:
    w = warmup_steps(schedule, horizon)
    if schedule.warmup is None or w == 0:
        return _restarted(schedule, t, horizon)
    values = _restarted(schedule, np.maximum(t - w, 0), horizon - w)
    rising = t < w
    values[rising] *= schedule.warmup.curve(t[rising], w)
    return values


def _restarted(schedule: Schedule, t: Steps, horizon: int) -> Floats:
    if schedule.restarts is None:
        return _played(schedule, t, horizon)
    order = np.argsort(t, kind="stable") if np.any(t[1:] < t[:-1]) else slice(None)
    in_order = t[order]
    pieces, start = [], 0
    for cycle, end in enumerate(schedule.restarts.ends(horizon).tolist()):
        inside = in_order[np.searchsorted(in_order, start) : np.searchsorted(in_order, end)]
        if inside.size:
            peak = schedule.restarts.peak_gamma**cycle
            pieces.append(peak * _played(schedule, inside - start, end - start))
        start = end
    values = np.empty(t.shape, dtype=np.float64)
    values[order] = np.concatenate(pieces) if pieces else np.empty(0)
    return values


def _played(schedule: Schedule, t: Steps, horizon: int) -> Floats:
    return schedule.body(horizon - 1 - t if schedule.reverse else t, horizon)
