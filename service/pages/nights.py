"""The nights of a recurrence drawn: the gain over the schedule in use with its interval, the earliest night left."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from search_spaces.describe import describe
from search_spaces.recurrence import RecurrenceView, RunView
from search_spaces.results import Difference

from . import texts

WIDTH, HEIGHT, LEFT, TOP = 880, 240, 70, 12
"""Of the drawing, in its own units; the room for numbers beside it, and above and below it."""
INNER_WIDTH, INNER_HEIGHT = WIDTH - LEFT - 10, HEIGHT - 2 * TOP
FILLS = {"winner": "var(--good)", "no_winner": "var(--muted)", "undecided": "var(--paper)"}
"""Of a night's mark by its verdict; an open one is undecided."""
_CHART = Markup('<svg class="chart" viewBox="0 0 {width} {height}" role="img"><title>{title}</title>{parts}</svg>')
_LINE = Markup(
    '<line x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" stroke="var(--rule)"/>'
    '<text x="{beside}" y="{low:.1f}" text-anchor="end" font-size="12" fill="var(--muted)">{value:.3g}</text>'
)
_BAR = Markup(
    '<g stroke="var(--ink)" stroke-width="1.5"><title>{said}</title>'
    '<line x1="{x:.1f}" x2="{x:.1f}" y1="{high:.1f}" y2="{low:.1f}"/>'
    '<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{fill}"/></g>'
)


@dataclass(frozen=True)
class NightRow:
    """A night and what is said of it."""

    run: RunView
    gain: str
    notes: list[str]


@dataclass(frozen=True)
class Nights:
    """What the page of a recurrence shows; its nights come latest first."""

    view: RecurrenceView
    in_use: str | None
    rows: list[NightRow]
    chart: Markup | None


def nights_of(view: RecurrenceView, runs: Sequence[RunView]) -> Nights:
    """Make the page of a recurrence from it and its nights, latest first."""
    rows = [NightRow(run, _gain(run.difference), _notes(run)) for run in runs]
    in_use = None if view.in_use is None else describe(view.in_use)
    return Nights(view, in_use, rows, _chart(list(reversed(runs))))


def _notes(run: RunView) -> list[str]:
    return [*([run.reason] if run.reason else []), *run.notes, *(["only its answer is kept"] if run.pruned else [])]


def _gain(difference: Difference | None) -> str:
    if difference is None:
        return ""
    low, high = difference.interval
    return f"{difference.gain:.3g} ({low:.3g} to {high:.3g})"


@dataclass(frozen=True)
class _Scale:
    low: float
    high: float
    count: int

    def x(self, place: int) -> float:
        return LEFT + (place + 0.5) * INNER_WIDTH / self.count

    def y(self, value: float) -> float:
        return TOP + (self.high - value) / (self.high - self.low) * INNER_HEIGHT


def _chart(runs: Sequence[RunView]) -> Markup | None:
    """Draw the nights that have a difference; the others are gaps. None where no night has one."""
    drawn = {place: run.difference for place, run in enumerate(runs) if _is_drawn(run.difference)}
    ends = [end for difference in drawn.values() if difference is not None for end in difference.interval]
    if not ends:
        return None
    low, high = min(0.0, *ends), max(0.0, *ends)
    room = 0.05 * (high - low) or 1.0
    scale = _Scale(low - room, high + room, len(runs))
    lines = [_line(scale, value) for value in sorted({low, 0.0, high})]
    bars = [_bar(scale, place, runs[place], difference) for place, difference in drawn.items() if difference]
    title = f"Gain over the schedule in use of {len(bars)} nights, with 95 % intervals"
    return _CHART.format(width=WIDTH, height=HEIGHT, title=title, parts=Markup("").join([*lines, *bars]))


def _is_drawn(difference: Difference | None) -> bool:
    return difference is not None and all(math.isfinite(end) for end in (difference.gain, *difference.interval))


def _line(scale: _Scale, value: float) -> Markup:
    y = scale.y(value)
    return _LINE.format(left=LEFT, right=WIDTH - 10, y=y, beside=LEFT - 6, low=y + 4, value=value)


def _bar(scale: _Scale, place: int, run: RunView, difference: Difference) -> Markup:
    low, high = difference.interval
    verdict = run.verdict or "undecided"
    said = f"{run.due_at:%Y-%m-%d %H:%M} UTC: {texts.VERDICT_WORDS.get(verdict, verdict)}, {_gain(difference)}"
    return _BAR.format(
        said=said,
        x=scale.x(place),
        high=scale.y(high),
        low=scale.y(low),
        y=scale.y(difference.gain),
        fill=FILLS[verdict],
    )
