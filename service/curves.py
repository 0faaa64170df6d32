"""LR curves as numbers, CSV and SVG."""

from __future__ import annotations

import io
import textwrap
import threading
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager

import numpy as np
from numpy.typing import NDArray

from search_spaces.schedules import Plateau, Schedule, curve, plateau_factors
from search_spaces.study import Direction

Floats = NDArray[np.float64]

TITLE_CHARACTERS = 80
"""A line of the title that the picture is wide enough for, at the size of its letters."""

_drawing = threading.Lock()
"""matplotlib's fonts and text layout are shared between figures and not safe in several threads."""


def drawing_alone() -> AbstractContextManager[bool]:
    """Keep other threads from drawing in the meantime."""
    return _drawing


def lr_curve(
    schedule: Schedule,
    initial_lr: float,
    steps: int,
    *,
    metrics: Sequence[float] | None = None,
    direction: Direction = "minimize",
) -> Floats:
    """Return the LR of each of `steps` updates: float64 of shape (steps,).

    `metrics` are the evaluations that a `plateau` follows, spread evenly over the steps.

    Raises:
        HorizonTooShort: the schedule does not fit into `steps`.
        InvalidSpec: a `plateau` was given too few or too many metrics.
        Unsupported: a `plateau` was given none.
    """
    if isinstance(schedule, Plateau) and metrics is not None:
        return initial_lr * plateau_factors(schedule, steps, metrics, direction)
    return initial_lr * curve(schedule, steps)


def followed_curve(
    schedule: Plateau,
    initial_lr: float,
    horizon: int,
    reports: Mapping[int, float],
    direction: Direction,
    *,
    steps: int | None = None,
) -> Floats | None:
    """Return the LR of every update of a training that a `plateau` drove, by what it reported.

    `reports` holds the metric by step, over the whole horizon; `steps` redraws the curve for another length. None
    where the reports do not tell when the metric was evaluated.
    """
    cadence = regular_cadence(reports, horizon)
    if cadence is None:
        return None
    rule = schedule.rule(horizon // cadence, direction)
    evaluated = range(cadence, horizon + 1, cadence)
    in_force = np.array([1.0, *(rule.feed(reports[step]) for step in evaluated)])
    t = np.arange(steps or horizon, dtype=np.int64)
    factors = in_force[t * horizon // t.size // cadence] * schedule.warmup_factors(t, t.size)
    return np.asarray(initial_lr * factors)


def regular_cadence(reported: Collection[int], horizon: int) -> int | None:
    """Return the steps from one regular evaluation to the next; None where there is no regular one.

    Rungs and the end of the horizon are reported besides: the cadence is the smallest reported step of which every
    multiple up to the horizon is reported too.

    >>> regular_cadence([10, 17, 20, 30, 34], 34)
    10
    """
    for step in sorted(reported):
        if step > 0 and all(multiple in reported for multiple in range(step, horizon + 1, step)):
            return step
    return None


def as_csv(lr: Floats) -> str:
    """Write a curve as CSV with the columns step and lr, numbers in full precision."""
    rows = "".join(f"{step},{value!r}\n" for step, value in enumerate(lr.tolist()))
    return f"step,lr\n{rows}"


def as_svg(lr: Floats, title: str) -> bytes:
    """Draw a curve over its steps as an SVG picture; `title` is taken as plain text and broken into lines."""
    with drawing_alone():
        # Imported for the first picture: it takes a third of the time that the service takes to start.
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7.2, 3.6), layout="constrained")
        axes = figure.add_subplot()
        axes.plot(np.arange(lr.size), lr, linewidth=1.6, color="#2257a3")
        axes.set_xlabel("step")
        axes.set_ylabel("learning rate")
        axes.set_title(textwrap.fill(title, TITLE_CHARACTERS), parse_math=False, fontsize=10)
        axes.set_ylim(bottom=0)
        axes.margins(x=0.01)
        axes.grid(alpha=0.25)
        picture = io.BytesIO()
        figure.savefig(picture, format="svg", metadata={"Date": None, "Creator": "Etude"})
    return picture.getvalue()
