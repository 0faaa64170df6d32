"""Keeps what the Optuna dashboard shows of live studies up to date, at a bounded rate."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from search_spaces.log import bind
from search_spaces.problems import NotFound, Problem, StoreUnavailable
from store import Store
from store.dashboard import save_dashboard
from store.proposals import recent_history
from store.studies import LiveStudy

from .answer import known_answer
from .dashboard_texts import MOST_CURVES, lr_figure, note_of

log = bind(__name__)

REFRESH_SECONDS = 20.0
"""Between two looks at a live study; its end is told at once. A look costs 10 ms of processor time (SQLite, 16 trials),
and writes only what has changed."""


class DashboardUpdates:
    """Writes note and figure of the studies that a coordinator works on, while they go on and once when they end."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._known: dict[str, tuple[LiveStudy, float]] = {}
        """Live studies by name, with the time of the last look."""

    def refresh(self, live: Sequence[LiveStudy]) -> None:
        """Look at the studies that are due, and at those that were live the last time and are not any more.

        Raises:
            StoreUnavailable: the store cannot be reached just now; what was due stays due.
        """
        now, names = self._clock(), {study.name for study in live}
        for name in [name for name in self._known if name not in names]:
            self._update(self._known[name][0])
            del self._known[name]
        for study in live:
            looked_at = self._known.setdefault(study.name, (study, now))[1]
            if now - looked_at >= REFRESH_SECONDS:
                self._update(study)
                looked_at = now
            self._known[study.name] = (study, looked_at)

    def _update(self, study: LiveStudy) -> None:
        """Write one study's; what goes wrong with it holds up nothing else."""
        if study.resolved is None:
            return
        try:
            update(self._store, study)
        except StoreUnavailable:
            raise
        except NotFound:
            return  # deleted meanwhile
        except Problem as problem:
            log.warning("dashboard_not_up_to_date", study=study.name, detail=str(problem))
        except Exception:
            log.exception("dashboard_not_up_to_date", study=study.name)


def update(store: Store, study: LiveStudy) -> bool:
    """Write note and figure of a study that has begun, as they are now; tell whether anything changed."""
    assert study.resolved is not None
    resolved = study.resolved
    best = recent_history(store, study.study_id, direction=resolved.direction, best=MOST_CURVES, latest=1)
    figure = lr_figure(best, resolved.horizon_steps, resolved.metric, resolved.direction)
    return save_dashboard(store, study.name, note=note_of(known_answer(store, study.name)), figure=figure)
