"""What a report shows: each figure is drawn from plain series of numbers and says in words what is to be seen."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from search_spaces.results import Arm, Evidence
from search_spaces.study import Direction
from search_spaces.work import Report

from ..curves import drawing_alone
from ..margins import limits_of
from ..paired import paired_gains
from .drawing import INK, PAPER, new_figure, plain_log, series_colour, themed_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]
MOST_POINTS = 240
"""Of one line: more cannot be told apart at the width of a page."""
LEAST_SHARE = 3e-3
"""Of the lowest peak: LRs below are not drawn, so that a curve that ends at 0 does not set the axis."""
FAR_OFF = 3.0
"""Scores beyond so many times the spread of the middle half are drawn at the edge."""


@dataclass(frozen=True)
class Entry:
    """One entry of a legend; `place` names the colour."""

    label: str
    place: int


@dataclass(frozen=True)
class Figure:
    """A picture for a page with what it shows in words."""

    name: str
    heading: str
    caption: str
    svg: Markup
    legend: list[Entry] = field(default_factory=list)


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


@dataclass(frozen=True)
class Dot:
    """One trial of the search: where it began and how it scored."""

    initial_lr: float
    score: float
    label: str
    ended: bool


# Learning rates


def lr_figure(lines: Sequence[Line]) -> Figure:
    """Draw LRs over the steps on a logarithmic axis, what the page is about in bold."""
    with drawing_alone():
        figure, (axes,) = new_figure()
        draw_learning_rates(axes, lines)
        svg = themed_svg(figure, "lr", f"Learning rate over the steps of {', '.join(line.label for line in lines)}")
    caption = "The learning rate of every update, on a logarithmic axis."
    return Figure("lr", "Learning rates", caption, svg, [Entry(line.label, line.place) for line in lines])


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


def learning_figure(bundles: Sequence[Bundle], metric: str) -> Figure | None:
    """Draw the mean of the metric over the seeds with a band of one standard deviation; None where nothing is known."""
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
    caption = f"{metric} while training on the fresh seeds: mean, and a band of one standard deviation."
    return Figure("learning", "Learning curves", caption, svg, [Entry(row[0].label, row[0].place) for row in known])


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


# The confirmation


@dataclass(frozen=True)
class Row:
    """One line of dots, a dot a seed, with what is known of their mean; `interval` only where it was judged."""

    label: str
    place: int
    dots: Sequence[float]
    mean: float
    interval: tuple[float, float] | None


def arms_figure(arms: Sequence[Arm], places: Mapping[str, int], metric: str) -> Figure | None:
    """Draw a dot a seed, and mean and 95 % interval, for each arm."""
    rows = [
        Row(arm.name, places[arm.name], _finite(arm.values.values()), arm.mean, arm.interval)
        for arm in sorted(arms, key=lambda arm: places[arm.name])
        if arm.mean is not None and math.isfinite(arm.mean)
    ]
    if not rows:
        return None
    with drawing_alone():
        figure, (axes,) = new_figure(height=1.0 + 0.4 * len(rows))
        draw_rows(axes, rows)
        axes.set_xlabel(metric)
        svg = themed_svg(figure, "arms", f"{metric} of {', '.join(row.label for row in rows)} on each fresh seed")
    caption = "A dot a fresh seed; mean with its 95 % interval."
    return Figure("arms", f"{metric} on fresh seeds", caption, svg)


def gains_figure(evidence: Evidence, places: Mapping[str, int], metric: str, direction: Direction) -> Figure | None:
    """Draw the finalist's gain over each baseline, seed by seed; None where there is nothing to compare."""
    rows = gain_rows(evidence, places, direction)
    if not rows:
        return None
    with drawing_alone():
        figure, (axes,) = new_figure(height=1.0 + 0.4 * len(rows))
        axes.axvline(0, color=INK, linewidth=1)
        draw_rows(axes, rows)
        axes.set_xlabel(f"gain in {metric}, better to the right")
        svg = themed_svg(figure, "gains-by-seed", f"Gain of {evidence.finalist} over each baseline, seed by seed")
    caption = "A dot a fresh seed that both were trained on; a winner's 95 % intervals all lie to the right of 0."
    return Figure("gains-by-seed", f"Gain of {evidence.finalist} over", caption, svg)


def gain_rows(evidence: Evidence, places: Mapping[str, int], direction: Direction) -> list[Row]:
    """Return the finalist's gains over each baseline, positive when better, with the limits of the verdict."""
    arms = {arm.name: arm for arm in evidence.arms}
    finalist = arms.get(evidence.finalist or "")
    if finalist is None:
        return []
    roles = Counter(arm.role for arm in evidence.arms)
    rows = []
    baselines = [arm for arm in evidence.arms if arm.role == "baseline"]
    for arm in sorted(baselines, key=lambda arm: places[arm.name]):
        gains = paired_gains(finalist.values, arm.values, direction)
        if gains.size > 1:
            limits = limits_of(gains, roles["candidate"], roles["baseline"])
            interval = (limits.lower, limits.upper)
            rows.append(Row(arm.name, places[arm.name], gains.tolist(), limits.gain, interval))
    return rows


def _finite(values: Iterable[float]) -> list[float]:
    return [value for value in values if math.isfinite(value)]


def draw_rows(axes: Axes, rows: Sequence[Row]) -> None:
    """Draw rows of dots from the top down; one far off stands at the edge, with its mean in words."""
    low, high = _core([row.mean for row in rows], [value for row in rows for value in row.dots])
    for height, row in zip(range(len(rows) - 1, -1, -1), rows, strict=True):
        if low <= row.mean <= high:
            _draw_row(axes, row, height)
        else:
            _say_far_off(axes, row, height, right=row.mean > high)
    axes.set_xlim(low, high)
    axes.set_yticks(range(len(rows)), [row.label for row in reversed(rows)])
    axes.tick_params(axis="y", colors=INK)
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.grid(axis="y", visible=False)


def _core(means: Sequence[float], values: Sequence[float]) -> tuple[float, float]:
    """Return the ends of an axis on which the rows near one another can be told apart."""
    middle = float(np.median(means))
    apart, spread = (float(np.median(np.abs(np.array(numbers) - middle))) for numbers in (means, values))
    reach = FAR_OFF * max(2 * apart, spread)
    near = [value for value in values if abs(value - middle) <= 2 * reach] or list(values)
    margin = 0.06 * ((max(near) - min(near)) or abs(middle) or 1.0)
    return min(*near, *[value for value in (0.0,) if abs(value - middle) <= reach]) - margin, max(near) + margin


def _draw_row(axes: Axes, row: Row, height: float) -> None:
    colour = series_colour(row.place)
    axes.scatter(row.dots, [height + 0.17] * len(row.dots), s=24, color=colour, alpha=0.55, linewidths=0)
    if row.interval is not None and all(map(math.isfinite, row.interval)):
        axes.plot(row.interval, [height - 0.12] * 2, color=colour, linewidth=3)
    axes.plot([row.mean], [height - 0.12], marker="o", markersize=7, color=colour, markeredgecolor=PAPER)


def _say_far_off(axes: Axes, row: Row, height: float, *, right: bool) -> None:
    text = f"{row.mean:.3g} \u2192" if right else f"\u2190 {row.mean:.3g}"
    axes.annotate(
        text, (1.0 if right else 0.0, height), xycoords=("axes fraction", "data"), ha="right" if right else "left",
        va="center", color=series_colour(row.place), fontsize=11,
    )  # fmt: skip


# The search


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


# On the start page


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
