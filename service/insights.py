"""Insights of a store's studies, made at a bounded cost and kept until another trial ends."""

from __future__ import annotations

import threading
from collections import OrderedDict

from search_spaces.insight import Insight
from search_spaces.results import StudyView
from store import Store
from store.insights import latest_ended
from store.studies import get_study, stored_answer

MOST_READ = 5000
"""Ended trials that all of it is made of, the latest ones: reading 20,000 takes seconds."""
KEPT = 32
"""Studies whose insight is kept in memory."""


class Insights:
    """Insights of a store's studies; one that was made is kept until the study changes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: OrderedDict[str, tuple[tuple[object, ...], Insight]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, name: str) -> Insight:
        """Return what the search of a study has taught.

        Raises:
            NotFound: there is no such study.
        """
        view = get_study(self._store, name)
        key = (view.created_at, view.state, view.counts.ended)
        with self._lock:
            kept = self._kept.get(name)
            if kept is not None and kept[0] == key:
                self._kept.move_to_end(name)
                return kept[1]
        made = self._make(view)
        with self._lock:
            self._kept[name] = (key, made)
            self._kept.move_to_end(name)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return made

    def _make(self, view: StudyView) -> Insight:
        if view.space is None or view.direction is None:
            return Insight(study=view.name, trials=0, read=0, notes=["nothing has been trained yet"])
        from .insight import insight_of  # Optuna and SciPy take a second, which every start would pay

        trials = latest_ended(self._store, view.name, MOST_READ)
        answer = stored_answer(self._store, view.name)
        return insight_of(view, trials, [] if answer is None else answer.evidence.arms)
