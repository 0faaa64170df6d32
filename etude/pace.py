"""How long a study still takes, judged by how fast its trials have been ending."""

from __future__ import annotations

from collections import deque

from search_spaces.results import Counts, StudyView
from search_spaces.study import StudySpec

WINDOW = 12
"""Trials that the rate is taken over: the first ones of a study are full-length baselines and slower than the rest."""
DEFAULT_BASELINES = 3
CONFIRMING = {"confirming", "confirming_paused"}
ENDED = {"done", "stopped", "failed"}


class Rate:
    """Seconds between the ends of trials, over the last few of them."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def see(self, now: float, ended: int) -> None:
        """Take note that `ended` trials had ended at `now` (seconds of a monotonic clock)."""
        if not self._seen or ended > self._seen[-1][1]:
            self._seen.append((now, ended))
        while len(self._seen) > 2 and self._seen[1][1] <= ended - WINDOW:
            self._seen.popleft()

    def seconds_per_trial(self) -> float | None:
        """Return the mean; None until three trials have ended since the first look."""
        (start, first), (now, ended) = (self._seen[0], self._seen[-1]) if self._seen else ((0.0, 0), (0.0, 0))
        return (now - start) / (ended - first) if ended - first >= 3 else None


class Pace:
    """The time left of one study, confirmation included."""

    def __init__(self) -> None:
        self._search = Rate()
        self._confirmation = Rate()

    def seconds_left(self, now: float, view: StudyView, full_cost: float | None = None) -> float | None:
        """Estimate the seconds until the answer; None while too little has been seen, or the study does not move.

        Args:
            now: seconds of a monotonic clock.
            view: the study as it was then.
            full_cost: what a training of the whole horizon costs, in units of the search's mean trial.
        """
        self._search.see(now, view.counts.ended)
        search = self._search.seconds_per_trial()
        confirmation = None if search is None or full_cost is None else search * full_cost
        if view.state in CONFIRMING:
            self._confirmation.see(now, view.confirmation.ended)
            confirmation = self._confirmation.seconds_per_trial() or confirmation
            return _times(confirmation, planned_confirmation(view) - view.confirmation.ended)
        if view.state != "running" or search is None:
            return None
        searching = search * max(0, view.budget.trials - view.counts.ended)
        return searching + (_times(confirmation, planned_confirmation(view)) or 0.0)


def planned_confirmation(view: StudyView) -> int:
    """Trials that the confirmation will take: those that are there, else what the spec asks for."""
    there = everything(view.confirmation)
    return there if view.state in CONFIRMING | ENDED and there else _asked_for(view.spec)


def everything(counts: Counts) -> int:
    """Trials in any state of Étude's own."""
    return counts.proposed + counts.leased + counts.ended


def _asked_for(spec: StudySpec) -> int:
    named = spec.confirmation.baselines
    baselines = len(named) if named is not None else DEFAULT_BASELINES + (spec.current is not None)
    return (spec.confirmation.top + baselines) * spec.confirmation.seeds


def _times(seconds: float | None, trials: int) -> float | None:
    return None if seconds is None else seconds * max(0, trials)
