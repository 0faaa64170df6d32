"""What pruning has saved in a study, and how many of its best it has cost, by the trials that ran on all the same.

A random share of the trials that would be pruned is trained to its end. Those which end as good as the best of the
trials that passed every rung were wrongly judged; what is true of the share is true of all that were pruned, within an
interval. The line between good and not is drawn by the trials that passed alone, so that it does not depend on which
trials were spared.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import NormalDist
from typing import Protocol

from search_spaces.insight import PruningEffect
from search_spaces.study import Direction
from store.proposals import Past

CONFIDENCE = 0.95
TOP_SHARE = 0.05
"""Of the trials of a search: its best."""
LEAST_SPARED = 10
"""Fewer trials that ran on say next to nothing: none of them among the best still leaves a share of 30 % possible."""


class Ended(Protocol):
    """What there is to know of an ended trial of a search."""

    @property
    def state(self) -> str:
        """Complete, pruned, failed or stopped."""

    @property
    def value(self) -> float | None:
        """The decision metric at the horizon."""

    @property
    def spared_at(self) -> int | None:
        """The rung at which it would have been pruned."""

    @property
    def steps_done(self) -> int:
        """Updates made of its own training."""

    @property
    def extra_steps(self) -> int:
        """Updates made beside it, for rungs."""

    @property
    def worker_seconds(self) -> float:
        """What it cost."""


def search_trials(past: Iterable[Past]) -> list[Past]:
    """Return the trials of the study's own search among all that the coordinator reads."""
    return [trial for trial in past if trial.purpose == "search" and trial.seq is not None]


def effect_of(trials: Sequence[Ended], direction: Direction, horizon_steps: int) -> PruningEffect:
    """Tell what pruning has saved and cost, by the ended trials of a search with rungs."""
    effect = _savings(trials, horizon_steps)
    spared = [trial for trial in trials if trial.spared_at is not None and trial.state in ("complete", "failed")]
    passed = sorted(_costs([trial for trial in trials if trial.spared_at is None], direction))
    would_be_pruned = effect.pruned + len(spared)
    top = max(1, round(TOP_SHARE * (would_be_pruned + len(passed))))
    known = {"spared": len(spared), "top": top}
    if not would_be_pruned:
        return effect.model_copy(update=known | {"why_none": "no trial has fallen behind at a rung"})
    if len(passed) < top:
        return effect.model_copy(update=known | {"why_none": "too few trials have passed every rung"})
    missed = sum(cost <= passed[top - 1] for cost in _costs(spared, direction))
    known |= {"missed": missed}
    if len(spared) < LEAST_SPARED:
        reason = f"{len(spared)} of {would_be_pruned} trials that fell behind ran on, and it takes {LEAST_SPARED}"
        return effect.model_copy(update=known | {"why_none": f"{reason}: more trials, or a larger pruner.run_on"})
    rates = [_lost(share, would_be_pruned, top) for share in wilson(missed, len(spared))]
    rate = _lost(missed / len(spared), would_be_pruned, top)
    return effect.model_copy(update={**known, "false_prune_rate": rate, "interval": (rates[0], rates[1])})


def wilson(hits: int, n: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return Wilson's score interval of a share that was `hits` of n.

    >>> [round(end, 3) for end in wilson(1, 10)]
    [0.018, 0.404]
    """
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share, spread = hits / n, z * z / n
    middle = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(share * (1 - share) / n + spread / (4 * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def _lost(share: float, would_be_pruned: int, top: int) -> float:
    """Return what share of the best falls behind, where `share` of all that fall behind are among the best."""
    lost = share * would_be_pruned
    return lost / (lost + top)


def _costs(trials: Iterable[Ended], direction: Direction) -> list[float]:
    """Return the finite values of complete trials, as something to minimize."""
    values = [trial.value for trial in trials if trial.state == "complete" and trial.value is not None]
    return [value if direction == "minimize" else -value for value in values if math.isfinite(value)]


def _savings(trials: Sequence[Ended], horizon_steps: int) -> PruningEffect:
    pruned = [trial for trial in trials if trial.state == "pruned"]
    extra = sum(trial.extra_steps for trial in trials)
    made = sum(trial.steps_done for trial in trials) + extra
    saved = sum(max(0, horizon_steps - trial.steps_done) for trial in pruned) - extra
    pace = math.fsum(trial.worker_seconds for trial in trials) / made if made else 0.0
    return PruningEffect(
        pruned=len(pruned),
        saved_updates=saved,
        saved_share=saved / (saved + made) if saved else 0.0,
        saved_seconds=saved * pace,
        extra_updates=extra,
        spared_updates=sum(trial.steps_done - trial.spared_at for trial in trials if trial.spared_at is not None),
    )
