"""What a search has taught, as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_args

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from search_spaces.insight import FamilyTally, GroupImportance, Insight, LrSensitivity, Part

from .show import plain_table

BAR_WIDTH = 20


def insight_parts(insight: Insight) -> list[RenderableType]:
    """Importance, families, the metric against the LR and the pruned, each a table, and what not to believe."""
    metric = insight.metric or "value"
    parts: list[RenderableType] = [
        Text(f"{insight.study}: what {insight.read} ended trials of the search say", style="bold")
    ]
    if insight.importance:
        told = [group for group in insight.importance if group.parameters]
        parts += ["", importance_table(told) if told else Text("Importance", style="bold")]
        parts += [
            Text(f"{group.group}: {group.why_none}", style="dim") for group in insight.importance if group.why_none
        ]
    for part in get_args(Part):
        own = [one for one in insight.families if one.part == part]
        parts += ["", families_table(part, own, metric)] if own else []
    for one in insight.lr:
        parts += ["", lr_table(one, metric)]
    if insight.pruned:
        parts += ["", pruned_table(insight)]
    if insight.pruning is not None:
        parts += [Text(sentence) for sentence in insight.pruning.sentences()]
    if insight.spared:
        spared = f"Of {insight.spared} that would have been pruned and ran on, "
        parts += [Text(f"{spared}{insight.spared_good} ended among the best quarter.")]
    return [*parts, "", *(Text(f"Note: {note}") for note in insight.notes)]


def importance_table(groups: Iterable[GroupImportance]) -> Table:
    """Each group's parameters with their shares, as numbers and as bars."""
    table = plain_table("Importance")
    for name in ("among", "n", "parameter", "share", ""):
        table.add_column(name, no_wrap=True, justify="right" if name in ("n", "share") else "left")
    for group in groups:
        for place, one in enumerate(group.parameters):
            first = (group.group, str(group.trials)) if place == 0 else ("", "")
            table.add_row(*first, one.parameter, f"{one.share:.2f}", "█" * round(BAR_WIDTH * one.share))
    return table


def families_table(part: str, families: Iterable[FamilyTally], metric: str) -> Table:
    """How often each family of a part was tried, and its best: confirmed, or a search score."""
    table = plain_table(f"Every {part} tried (best {metric})")
    for name in (part, "tried", "complete", "pruned", "failed", "best", "95 % interval", ""):
        number = name in ("tried", "complete", "pruned", "failed")
        table.add_column(name, no_wrap=True, justify="right" if number else "left")
    for one in families:
        counts = (str(one.tried), str(one.complete), str(one.pruned), str(one.failed))
        best = "" if one.best is None else f"{one.best:.4f}"
        interval = "" if one.interval is None else f"{one.interval[0]:.4f} to {one.interval[1]:.4f}"
        source = f"confirmed, n = {one.n}" if one.n else "search score" if best else ""
        table.add_row(one.family, *counts, best, interval, source)
    return table


def lr_table(sensitivity: LrSensitivity, metric: str) -> Table:
    """One optimizer's trials by initial LR."""
    table = plain_table(f"Initial LR of {sensitivity.optimizer}")
    for name in ("LR", "complete", "pruned", f"best search score ({metric})", "median"):
        table.add_column(name, no_wrap=True, justify="left" if name == "LR" else "right")
    for one in sensitivity.bins:
        best, median = ("" if value is None else f"{value:.4f}" for value in (one.best, one.median))
        table.add_row(f"{one.low:.2g} to {one.high:.2g}", str(one.complete), str(one.pruned), best, median)
    return table


def pruned_table(insight: Insight) -> Table:
    """What was stopped at each rung."""
    table = plain_table("Pruned")
    for name in ("rung (step)", "reached", "pruned"):
        table.add_column(name, no_wrap=True, justify="right")
    for one in insight.pruned:
        table.add_row(str(one.rung), str(one.reached), str(one.pruned))
    return table
