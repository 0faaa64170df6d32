"""A study whose confirmation has ended: everything that its answer is computed from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from search_spaces.results import Arm, Compute, StudyView
from store.proposals import Past

from .asking import is_extra
from .confirmation import Plan, worker_seconds
from .search import Search
from .verdict import Judgement

CONFIRMING = ("tuning", "confirmation")
"""Purposes of what is trained after the search."""


@dataclass(frozen=True)
class Confirmed:
    """Everything that an answer is computed from, once the whole study has ended."""

    search: Search
    view: StudyView
    plan: Plan
    past: Sequence[Past]
    arms: Mapping[str, Arm]
    """By name, with their statistics."""
    judged: Judgement

    @property
    def chosen(self) -> str | None:
        """The arm that the answer names, which is what to use: the finalist, or the baseline that is to be kept."""
        judged = self.judged
        if judged.finalist is None or judged.best_baseline is None:
            return judged.finalist or judged.best_baseline
        return judged.finalist if self.is_ahead and judged.verdict != "no_winner" else judged.best_baseline

    @property
    def compute(self) -> Compute:
        """What the study has cost."""
        return Compute(
            search=worker_seconds(self.past, "search"),
            confirmation=worker_seconds([trial for trial in self.past if not is_extra(trial)], *CONFIRMING),
            extras=worker_seconds([trial for trial in self.past if is_extra(trial)], *CONFIRMING),
        )

    @property
    def winner(self) -> Arm:
        """The arm that the search put forward, which a verdict `winner` is about."""
        assert self.judged.finalist is not None
        return self.arms[self.judged.finalist]

    def horizon_of(self, name: str | None) -> int:
        """Return the steps that an arm is to be trained for: T, or with a target what it took on average."""
        whole = self.search.resolved.horizon_steps
        mean = self.arms[name].mean if name is not None and self.search.resolved.target is not None else None
        return whole if mean is None else min(whole, math.ceil(mean - 1e-9))

    @property
    def is_ahead(self) -> bool:
        """Whether the finalist did better than the best baseline on the fresh seeds, shown or not."""
        return self.judged.ahead
