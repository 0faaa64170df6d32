"""A study whose confirmation has ended: everything that its answer is computed from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from search_spaces.results import Arm, Compute, StudyView
from store.proposals import Past

from .confirmation import Plan, worker_seconds
from .search import Search
from .verdict import Judgement


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
        """The arm that the answer names: the finalist, unless the best baseline did no worse or there is none."""
        judged = self.judged
        if judged.finalist is None or (judged.best_baseline is not None and not self.is_ahead):
            return judged.best_baseline
        return judged.finalist

    @property
    def compute(self) -> Compute:
        """What the study has cost."""
        return Compute(
            search=worker_seconds(self.past, "search"),
            confirmation=worker_seconds(self.past, "tuning", "confirmation"),
        )

    @property
    def is_ahead(self) -> bool:
        """Whether the finalist did better than the best baseline on the fresh seeds, shown or not."""
        difference = self.judged.difference
        return difference is None or difference.gain > 0
