"""The nights of a recurrence as one page: the gain over the schedule in use night by night, and a table of them.

Everything on it is escaped, it loads nothing, and its policy forbids it to.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from search_spaces.describe import describe
from search_spaces.recurrence import RecurrenceView, RunView

WIDTH, HEIGHT, LEFT, TOP = 880, 240, 70, 12
"""Of the drawing, in its own units; the room for numbers beside it, and above and below it."""
INNER_WIDTH, INNER_HEIGHT = WIDTH - LEFT - 10, HEIGHT - 2 * TOP
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
MARKS = {"winner": "▲ winner", "no_winner": "● no winner", "undecided": "○ undecided"}
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem;
  color: #222; background: #fff }
svg { width: 100%; height: auto }
svg text { font: 12px system-ui, sans-serif; fill: currentColor }
table { border-collapse: collapse; width: 100% }
th, td { border-bottom: 1px solid #ccc; padding: .3rem .6rem; text-align: left; vertical-align: top }
.axis { stroke: currentColor; stroke-opacity: .4 }
.winner { stroke: #1a7f37; fill: #1a7f37 } .no_winner { stroke: #57606a; fill: #57606a }
.undecided { stroke: #9a6700; fill: #fff }
ul { margin: 0; padding-left: 1rem }
@media (prefers-color-scheme: dark) { body { color: #ddd; background: #111 } .undecided { fill: #111 } }
"""


@dataclass(frozen=True)
class Page:
    """A page, and the Content-Security-Policy that goes with it."""

    text: str
    policy: str = POLICY


def nights_page(recurrence: RecurrenceView, runs: Sequence[RunView]) -> Page:
    """Draw a recurrence and its nights, which come latest first."""
    name = escape(recurrence.name)
    rows = "\n".join(_row(run) for run in runs) or '<tr><td colspan="6">No night yet.</td></tr>'
    return Page(
        f"""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{name}</title>
<style>{STYLE}</style></head>
<body>
<h1>{name}</h1>
<p>{_when(recurrence)}</p>
<p>{_in_use(recurrence)}</p>
<h2>Gain over the schedule in use</h2>
{_drawing(list(reversed(runs)))}
<h2>Nights</h2>
<table>
<thead><tr><th>due (UTC)</th><th>state</th><th>verdict</th><th>gain (95 % interval)</th><th>candidate</th>
<th>notes</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>
</body>
</html>
"""
    )


def _when(recurrence: RecurrenceView) -> str:
    due = recurrence.next_due_at
    following = "paused" if recurrence.paused else "at its end" if due is None else f"next due {due:%Y-%m-%d %H:%M} UTC"
    task = escape(recurrence.template.task.name)
    return f"Task {task}, <code>{escape(recurrence.cron)}</code> in {escape(recurrence.zone)}; {following}."


def _in_use(recurrence: RecurrenceView) -> str:
    if recurrence.in_use is None:
        return "No schedule in use is known: the template has no <code>current</code>, and no winner was adopted."
    since = recurrence.in_use_from
    whence = f", adopted from {escape(since)}" if since else ", as the template says"
    return f"In use: {escape(describe(recurrence.in_use))}{whence}."


def _row(run: RunView) -> str:
    state = escape(run.state) + (f": {escape(run.reason)}" if run.reason else "")
    study = f"{run.due_at:%Y-%m-%d %H:%M}"
    if run.study is not None:
        study = f'<a href="/v1/studies/{escape(run.study)}/best">{study}</a>'
    said = [*run.notes, *(["only its answer is kept"] if run.pruned else [])]
    notes = "".join(f"<li>{escape(note)}</li>" for note in said)
    cells = [study, state, escape(MARKS.get(run.verdict or "", "")), escape(_gain(run))]
    cells += [escape(run.candidate_text or ""), f"<ul>{notes}</ul>" if notes else ""]
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _gain(run: RunView) -> str:
    if run.difference is None:
        return ""
    low, high = run.difference.interval
    return f"{run.difference.gain:.3g} ({low:.3g} to {high:.3g})"


# The drawing


def _drawing(runs: Sequence[RunView]) -> str:
    """Draw gain and interval of each night, the earliest left; nights without one are gaps."""
    ends = [end for run in runs if run.difference for end in run.difference.interval if math.isfinite(end)]
    if not ends:
        return "<p>No night has compared its finalist with a schedule in use yet.</p>"
    low, high = min(0.0, *ends), max(0.0, *ends)
    room = 0.05 * (high - low) or 1.0
    scale = _Scale(low - room, high + room, len(runs))
    bars = "\n".join(_bar(scale, place, run) for place, run in enumerate(runs))
    lines = "\n".join(_line(scale, value) for value in sorted({low, 0.0, high}))
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="Gain over the schedule in use of {len(runs)} nights">\n{lines}\n{bars}\n</svg>'
    )


@dataclass(frozen=True)
class _Scale:
    low: float
    high: float
    count: int

    def x(self, place: int) -> float:
        return LEFT + (place + 0.5) * INNER_WIDTH / self.count

    def y(self, value: float) -> float:
        return TOP + (self.high - value) / (self.high - self.low) * INNER_HEIGHT


def _line(scale: _Scale, value: float) -> str:
    y = scale.y(value)
    return (
        f'<line class="axis" x1="{LEFT}" x2="{WIDTH - 10}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.3g}</text>'
    )


def _bar(scale: _Scale, place: int, run: RunView) -> str:
    difference = run.difference
    if difference is None or not all(math.isfinite(end) for end in (difference.gain, *difference.interval)):
        return ""
    x, (low, high) = scale.x(place), difference.interval
    kind = escape(run.verdict or "undecided")
    said = escape(f"{run.due_at:%Y-%m-%d %H:%M} UTC, {MARKS.get(run.verdict or '', '')}: {_gain(run)}")
    return (
        f'<g class="{kind}"><title>{said}</title>'
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{scale.y(high):.1f}" y2="{scale.y(low):.1f}" stroke-width="2"/>'
        f'<circle cx="{x:.1f}" cy="{scale.y(difference.gain):.1f}" r="4"/></g>'
    )
