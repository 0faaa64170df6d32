"""What we add to a study in the Optuna dashboard: its best trials' LR curves, and what the answer says as a note."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from search_spaces.describe import describe
from search_spaces.export import Framework, export
from search_spaces.problems import Problem
from search_spaces.results import Answer
from search_spaces.study import Direction
from search_spaces.target import reported_direction
from store.proposals import Past

from .curves import lr_curve

MOST_CURVES = 20
DRAWN_STEPS, EVERY = 480, 5
"""Curves are redrawn for at most so many steps, and every fifth of them is a point: 20 curves are about 20 kB."""
LEAST_SHARE = 1e-3
"""Of the initial LR: below it nothing is drawn, so that a curve that ends at 0 does not set the logarithmic axis."""
SCALE = ("#440154", "#3b528b", "#21918c", "#5ec962", "#fde725")
"""Viridis, dark to light."""
FRAMEWORKS: tuple[Framework, ...] = ("pytorch", "optax")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~&])")


@dataclass(frozen=True)
class Scored:
    """A complete trial of the search with its score."""

    trial: Past
    score: float


def lr_figure(best: Sequence[Past], horizon_steps: int, metric: str, direction: Direction) -> str | None:
    """Return Plotly's JSON of the LR curves of the best trials, coloured by score; None where there is none."""
    ranked = _ranked(best, direction)
    if not ranked:
        return None
    scores = [one.score for one in ranked]
    low, high = min(scores), max(scores)
    traces = [
        trace
        for one in reversed(ranked)
        if (trace := _trace(one, horizon_steps, _share(one.score, low, high))) is not None
    ]
    figure = {"data": [*traces, _scale(low, high, metric)], "layout": _layout(len(traces))}
    return json.dumps(figure, separators=(",", ":"), allow_nan=False)


def _ranked(best: Sequence[Past], direction: Direction) -> list[Scored]:
    scored = [
        Scored(trial, trial.value)
        for trial in best
        if trial.state == "complete" and trial.value is not None and math.isfinite(trial.value) and trial.candidate
    ]
    scored.sort(key=lambda one: -one.score if direction == "maximize" else one.score)
    return scored[:MOST_CURVES]


def _share(score: float, low: float, high: float) -> float:
    return 0.5 if high == low else (score - low) / (high - low)


def _trace(one: Scored, horizon_steps: int, share: float) -> dict[str, Any] | None:
    horizon_steps = one.trial.horizon_steps or horizon_steps  # its own, where the search is for the fewest steps
    candidate, steps = one.trial.candidate, min(horizon_steps, DRAWN_STEPS)
    assert candidate is not None
    try:
        lr = lr_curve(candidate.schedule, candidate.initial_lr, steps)[::EVERY]
    except Problem:  # what follows the metric, or sets its LR by itself, has no curve
        return None
    floor = LEAST_SHARE * candidate.initial_lr
    return {
        "type": "scatter",
        "mode": "lines",
        "name": f"{one.trial.number}: {one.score:.4g}",
        "text": describe(candidate),
        "x0": 0,
        "dx": EVERY * horizon_steps / steps,
        "y": [float(f"{value:.4g}") if value > floor else None for value in lr.tolist()],
        "line": {"color": colour(share), "width": 1.5},
        "hovertemplate": "%{fullData.name}<br>%{fullData.text}<br>step %{x}: %{y}<extra></extra>",
    }


def colour(share: float) -> str:
    """Return the colour of the scale at a share of it.

    >>> colour(0.0), colour(0.5), colour(1.0)
    ('#440154', '#21918c', '#fde725')
    """
    place = min(int(share * (len(SCALE) - 1)), len(SCALE) - 2)
    along = share * (len(SCALE) - 1) - place
    pairs = zip(_channels(SCALE[place]), _channels(SCALE[place + 1]), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * along):02x}" for a, b in pairs)


def _channels(text: str) -> list[int]:
    return [int(text[start : start + 2], 16) for start in (1, 3, 5)]


def _scale(low: float, high: float, metric: str) -> dict[str, Any]:
    """Return a trace that shows nothing but the scale of colours."""
    places = [[place / (len(SCALE) - 1), text] for place, text in enumerate(SCALE)]
    marker = {
        "color": [low, high], "cmin": low, "cmax": high, "colorscale": places, "showscale": True, "opacity": 0,
        "colorbar": {"title": {"text": metric}},
    }  # fmt: skip
    return {
        "type": "scatter", "mode": "markers", "x": [None, None], "y": [None, None], "marker": marker,
        "showlegend": False, "hoverinfo": "skip",
    }  # fmt: skip


def _layout(curves: int) -> dict[str, Any]:
    title = f"Learning rates of the best {curves} trials<br>by search score, which is no result"
    return {
        "title": {"text": title, "font": {"size": 15}},
        "xaxis": {"title": {"text": "step"}},
        "yaxis": {"title": {"text": "learning rate"}, "type": "log", "exponentformat": "power"},
        "showlegend": False,
    }


def note_of(answer: Answer) -> str:
    """Return what an answer says, and its code, as Markdown; what users wrote in it is no markup."""
    first, *others = [sentence.text for sentence in answer.sentences] or [answer.sentence]
    parts = [f"## {escaped(first)}"]
    if others:
        parts.append("\n".join(f"- {escaped(text)}" for text in others))
    code = _code(answer)
    if code is not None:
        parts.append(f"```python\n{code.rstrip()}\n```")
    parts.append(f"The whole report: `/v1/studies/{answer.study}/report` of the Étude service.")
    return "\n\n".join(parts) + "\n"


def escaped(text: str) -> str:
    r"""Write text so that Markdown shows it as it is.

    >>> escaped("<b>validation_loss</b>")
    '\\<b\\>validation\\_loss\\</b\\>'
    """
    return _MARKDOWN.sub(r"\\\1", text)


def _code(answer: Answer) -> str | None:
    """Return the code of a candidate that was confirmed; one that only the search has seen is not to be pasted."""
    if answer.candidate is None or answer.horizon is None or answer.verdict is None:
        return None
    direction = reported_direction(answer.target, answer.metric.direction if answer.metric is not None else None)
    for framework in FRAMEWORKS:
        try:
            return export(answer.candidate, answer.horizon, framework, direction=direction)
        except Problem:  # a script's own, or none in this framework
            continue
    return None
