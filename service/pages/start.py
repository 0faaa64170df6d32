"""What the start page lists: studies with the pace of their trials, and what one can be submitted with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from search_spaces.results import StudyView
from store import Store
from store.drawn import claim_times
from store.workers import offers

from .search_figures import sparkline


@dataclass(frozen=True)
class StudyRow:
    """One study of the list; `spark` is empty where fewer than two trials have begun."""

    view: StudyView
    spark: Markup


def rows_of(store: Store, studies: Sequence[StudyView]) -> list[StudyRow]:
    """Return the rows of a page of studies, read in one statement more."""
    times = claim_times(store, {view.name: _claimed(view) for view in studies})
    return [StudyRow(view, _spark(view, times.get(view.name, []), place)) for place, view in enumerate(studies)]


def _claimed(view: StudyView) -> int:
    counts = view.counts
    return counts.ended + counts.leased + counts.foreign


def _spark(view: StudyView, times: Sequence[float], place: int) -> Markup:
    if len(times) < 2:
        return Markup()
    return sparkline(times, f"spark-{place}", f"{_claimed(view)} trials of {view.name} over time")


def offered_tasks(store: Store) -> list[str]:
    """Return the names of the tasks that workers have offered, in order."""
    return sorted({offer.name for offer in offers(store)})
