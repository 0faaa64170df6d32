"""The search in figures: scores over the initial LR, and how its trials came over time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from ..curves import drawing_alone
from .drawing import new_figure, plain_log, series_colour, themed_svg
from .figures import Entry, Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]
FAR_OFF = 3.0
"""Scores beyond so many times the spread of the middle half are drawn at the edge."""


@dataclass(frozen=True)
class Dot:
    """One trial of the search: where it began and how it scored."""

    initial_lr: float
    score: float
    label: str
    ended: bool


def sensitivity_figure(dots: Sequence[Dot], metric: str, *, maximize: bool) -> Figure | None:
    """Draw the search's scores over the initial LR, by optimizer; None where fewer than two trials have one."""
    finite = [dot for dot in dots if math.isfinite(dot.score) and dot.initial_lr > 0]
    if len(finite) < 2:
        return None
    labels = sorted({dot.label for dot in finite})
    edge = _far_edge(np.array([dot.score for dot in finite]), maximize=maximize)
    with drawing_alone():
        figure, (axes,) = new_figure()
        for place, label in enumerate(labels):
            for ended in (False, True):
                mine = [dot for dot in finite if dot.label == label and dot.ended is ended]
                _draw_dots(axes, mine, edge, series_colour(place), maximize=maximize)
        plain_log(axes, "x")
        axes.set_xlabel("initial learning rate")
        axes.set_ylabel(metric)
        svg = themed_svg(figure, "sensitivity", f"{metric} of the search's trials over their initial learning rate")
    caption = (
        "Every dot is a trial of the search on one seed, filled where it ran to its end, else at its last rung; scores"
        " far off stand at the edge. These scores chose what was confirmed and are no result."
    )
    legend = [Entry(label, place) for place, label in enumerate(labels)]
    return Figure("sensitivity", "Sensitivity to the initial learning rate", caption, svg, legend)


def _far_edge(scores: Floats, *, maximize: bool) -> float:
    low, middle, high = np.quantile(scores, [0.25, 0.5, 0.75])
    reach = FAR_OFF * max(float(high - low), 1e-12)
    return float(middle - reach if maximize else middle + reach)


def _draw_dots(axes: Axes, dots: Sequence[Dot], edge: float, colour: str, *, maximize: bool) -> None:
    if not dots:
        return
    within = max if maximize else min
    axes.scatter(
        [dot.initial_lr for dot in dots],
        [within(dot.score, edge) for dot in dots],
        s=26,
        facecolors=colour if dots[0].ended else "none",
        edgecolors=colour,
        alpha=0.85 if dots[0].ended else 0.6,
        linewidths=1.0,
    )


def sparkline(values: Sequence[float], name: str, title: str) -> Markup:
    """Draw how the trials of a study came over time: one line, no axes; `values` are times that never fall."""
    width, height, edge = 96.0, 20.0, 2.0
    span, steps = (values[-1] - values[0]) or 1.0, len(values) - 1
    across = [edge + (width - 2 * edge) * (value - values[0]) / span for value in values]
    up = [height - edge - (height - 2 * edge) * place / steps for place in range(steps + 1)]
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(across, up, strict=True))
    return Markup(
        '<svg class="spark" viewBox="0 0 {w:g} {h:g}" role="img" aria-labelledby="{name}"><title id="{name}">{title}'
        '</title><polyline points="{points}"/></svg>'
    ).format(w=width, h=height, name=name, title=title, points=points)
