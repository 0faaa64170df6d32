"""LR curves as numbers, CSV and SVG."""

from __future__ import annotations

import io
import threading
from collections.abc import Sequence
from typing import Literal

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from search_spaces.schedules import Plateau, Schedule, curve, plateau_factors

Floats = NDArray[np.float64]

_drawing = threading.Lock()
"""matplotlib's fonts and text layout are shared between figures and not safe in several threads."""


def lr_curve(
    schedule: Schedule,
    initial_lr: float,
    steps: int,
    *,
    metrics: Sequence[float] | None = None,
    direction: Literal["minimize", "maximize"] = "minimize",
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


def as_csv(lr: Floats) -> str:
    """Write a curve as CSV with the columns step and lr, numbers in full precision."""
    rows = "".join(f"{step},{value!r}\n" for step, value in enumerate(lr.tolist()))
    return f"step,lr\n{rows}"


def as_svg(lr: Floats, title: str) -> bytes:
    """Draw a curve over its steps as an SVG picture; `title` is taken as plain text."""
    with _drawing:
        figure = Figure(figsize=(7.2, 3.6), layout="constrained")
        axes = figure.add_subplot()
        axes.plot(np.arange(lr.size), lr, linewidth=1.6, color="#2257a3")
        axes.set_xlabel("step")
        axes.set_ylabel("learning rate")
        axes.set_title(title, parse_math=False, fontsize=10)
        axes.set_ylim(bottom=0)
        axes.margins(x=0.01)
        axes.grid(alpha=0.25)
        picture = io.BytesIO()
        figure.savefig(picture, format="svg", metadata={"Date": None, "Creator": "Etude"})
    return picture.getvalue()
