"""Curves of an answer's arms: learning rates over the steps, and the metric while training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from search_spaces.work import Report

from ..curves import drawing_alone
from .drawing import new_figure, plain_log, series_colour, themed_svg
from .figures import Entry, Figure, Numbers
from .texts import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]
MOST_POINTS = 240
"""Of one line: more cannot be told apart at the width of a page."""
LISTED_STEPS = 11
"""Rows of a figure's table."""
LEAST_SHARE = 3e-3
"""Of the lowest peak: LRs below are not drawn, so that a curve that ends at 0 does not set the axis."""


@dataclass(frozen=True)
class Line:
    """One arm's LR over the steps; `place` is its colour on the whole page, 0 what the page is about."""

    label: str
    place: int
    values: Floats


@dataclass(frozen=True)
class Bundle:
    """One arm's curves of the metric, by seed."""

    label: str
    place: int
    curves: Sequence[Sequence[Report]]


Averaged: TypeAlias = tuple[Bundle, Floats, Floats, Floats]
"""An arm with steps, mean and standard deviation."""


# Learning rates


def lr_figure(lines: Sequence[Line]) -> Figure:
    """Draw LRs over the steps on a logarithmic axis, what the page is about in bold."""
    with drawing_alone():
        figure, (axes,) = new_figure()
        draw_learning_rates(axes, lines)
        svg = themed_svg(figure, "lr", f"Learning rate over the steps of {', '.join(line.label for line in lines)}")
    caption = "The learning rate of every update, on a logarithmic axis."
    legend = [Entry(line.label, line.place) for line in lines]
    return Figure("lr", "Learning rates", caption, svg, legend, _lr_numbers(lines))


def _lr_numbers(lines: Sequence[Line]) -> Numbers:
    steps = _spread(range(min(line.values.size for line in lines)))
    rows = [[str(step), *(number(float(line.values[step])) for line in lines)] for step in steps]
    return Numbers(["step", *(line.label for line in lines)], rows)


def _spread(steps: Sequence[int]) -> list[int]:
    """Return a few of the steps, evenly spaced, the first and the last among them."""
    places = np.linspace(0, len(steps) - 1, min(len(steps), LISTED_STEPS)).round().astype(int)
    return [steps[place] for place in places]


def draw_learning_rates(axes: Axes, lines: Sequence[Line]) -> None:
    """Draw LRs over the steps into these axes."""
    for line in sorted(lines, key=lambda line: -line.place):
        steps = _thinned(line.values.size)
        shown = np.where(line.values[steps] > 0, line.values[steps], np.nan)
        width = 2.8 if line.place == 0 else 1.5
        axes.plot(steps, shown, color=series_colour(line.place), linewidth=width, zorder=3 - 0.1 * line.place)
    peaks = [float(line.values.max()) for line in lines if line.values.max() > 0]
    if peaks:
        least = min(float(line.values[line.values > 0].min()) for line in lines if line.values.max() > 0)
        axes.set_ylim(max(least * 0.8, LEAST_SHARE * min(peaks)), max(peaks) * 1.5)
        plain_log(axes)
    axes.margins(x=0.01)
    axes.set_xlabel("step")
    axes.set_ylabel("learning rate")


def _thinned(size: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, size - 1, min(size, MOST_POINTS)).round().astype(np.int64))


# Learning curves


def learning_figure(bundles: Sequence[Bundle], metric: str, horizon: int | None = None) -> Figure | None:
    """Draw the mean of the metric over the seeds with a band of one standard deviation; None where nothing is known.

    `horizon` is said where it is not the study's.
    """
    means = [(bundle, *_mean_and_spread(bundle.curves)) for bundle in bundles]
    known = [row for row in means if len(row[1]) > 0]
    if not known:
        return None
    with drawing_alone():
        figure, (axes,) = new_figure()
        for bundle, steps, mean, spread in sorted(known, key=lambda row: -row[0].place):
            colour = series_colour(bundle.place)
            axes.fill_between(steps, mean - spread, mean + spread, color=colour, alpha=0.16, linewidth=0)
            axes.plot(steps, mean, color=colour, linewidth=2.8 if bundle.place == 0 else 1.5)
        _bound(axes, np.concatenate([mean for _, _, mean, _ in known]))
        axes.margins(x=0.01)
        axes.set_xlabel("step")
        axes.set_ylabel(metric)
        svg = themed_svg(figure, "learning", f"{metric} over the steps, mean over the seeds")
    over = "" if horizon is None else f" over {horizon} steps"
    caption = f"{metric} while training{over} on the fresh seeds: mean, and a band of one standard deviation."
    legend = [Entry(bundle.label, bundle.place) for bundle, *_ in known]
    return Figure("learning", "Learning curves", caption, svg, legend, _learning_numbers(known))


def _learning_numbers(known: Sequence[Averaged]) -> Numbers:
    """List mean and standard deviation at steps that every arm has; none where they share none."""
    shown = [dict(zip(steps.tolist(), zip(mean, spread, strict=True), strict=True)) for _, steps, mean, spread in known]
    common = sorted(set(shown[0]).intersection(*shown[1:]))
    rows = [
        [f"{step:g}", *(f"{number(mean)} \u00b1 {number(spread, 2)}" for mean, spread in (arm[step] for arm in shown))]
        for step in (_spread(common) if common else [])
    ]
    return Numbers(["step", *(bundle.label for bundle, *_ in known)], rows)


def _mean_and_spread(curves: Sequence[Sequence[Report]]) -> tuple[Floats, Floats, Floats]:
    """Return steps, mean and standard deviation where at least half of the curves have a finite report."""
    by_step: dict[int, list[float]] = {}
    for curve in curves:
        for report in curve:
            if report.kind == "raw" and math.isfinite(report.value):
                by_step.setdefault(report.step, []).append(report.value)
    steps = [step for step, values in sorted(by_step.items()) if 2 * len(values) >= len(curves)]
    mean = np.array([np.mean(by_step[step]) for step in steps])
    spread = np.array([np.std(by_step[step], ddof=1) if len(by_step[step]) > 1 else 0.0 for step in steps])
    return np.array(steps, dtype=np.float64), mean, spread


def _bound(axes: Axes, values: Floats) -> None:
    """Keep a first report or a diverged training far off from setting the axis."""
    low, upper, high = np.quantile(values, [0.0, 0.9, 1.0])
    if high - low > 4 * (upper - low) > 0:
        axes.set_ylim(low - 0.1 * (upper - low), upper + 0.5 * (upper - low))
