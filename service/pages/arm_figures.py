"""The confirmation in figures: a dot a seed for every arm, and the gains over each baseline."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from search_spaces.results import Arm, Evidence
from search_spaces.study import Direction

from ..curves import drawing_alone
from ..margins import limits_of
from ..paired import paired_gains
from .drawing import INK, PAPER, new_figure, series_colour, themed_svg
from .figures import Figure, Numbers
from .texts import interval, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FAR_OFF = 3.0
"""Rows whose mean lies beyond so many times the usual distance of the others do not set the axis."""


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
        draw_rows(axes, rows, zero=True)
        axes.set_xlabel(f"gain in {metric}, better to the right")
        svg = themed_svg(figure, "gains-by-seed", f"Gain of {evidence.finalist} over each baseline, seed by seed")
    caption = "A dot a fresh seed that both were trained on; a winner's 95 % intervals all lie to the right of 0."
    listed = [
        [row.label, number(row.mean, 3), interval(row.interval, 3), ", ".join(number(gain, 3) for gain in row.dots)]
        for row in rows
    ]
    numbers = Numbers(["baseline", "mean gain", "95 % interval", "by seed"], listed)
    return Figure("gains-by-seed", f"Gain of {evidence.finalist} over", caption, svg, numbers=numbers)


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
            reach = (limits.lower, limits.upper)
            rows.append(Row(arm.name, places[arm.name], gains.tolist(), limits.gain, reach))
    return rows


def _finite(values: Iterable[float]) -> list[float]:
    return [value for value in values if math.isfinite(value)]


def draw_rows(axes: Axes, rows: Sequence[Row], *, zero: bool = False) -> None:
    """Draw rows of dots from the top down; one far off stands at the edge, with its mean in words.

    With `zero` there is a line at 0, which the axis holds in any case.
    """
    low, high = _core(rows, [0.0] if zero else [])
    if zero:
        axes.axvline(0, color=INK, linewidth=1)
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


def _core(rows: Sequence[Row], held: Sequence[float]) -> tuple[float, float]:
    """Return the ends of an axis on which the rows near one another can be told apart, and that holds `held`."""
    means, dots = [row.mean for row in rows], [value for row in rows for value in row.dots]
    middle = float(np.median(means))
    apart, spread = (float(np.median(np.abs(np.array(values) - middle))) for values in (means, dots))
    reach = 2 * FAR_OFF * max(2 * apart, spread)
    ends = [end for row in rows if row.interval is not None for end in row.interval]
    near = [value for value in (*dots, *ends) if abs(value - middle) <= reach] or dots
    low, high = min(*near, *held, near[0]), max(*near, *held, near[0])
    margin = 0.06 * ((high - low) or abs(middle) or 1.0)
    return low - margin, high + margin


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
