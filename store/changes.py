"""What has changed of a study's trials since somebody last looked, at a cost that does not grow with its history.

Trials are numbered in the order in which they were first claimed, and an ended one changes no more. So whoever knows
the highest number seen and which of the lower ones were open then has to look at those alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from search_spaces.results import TrialView
from search_spaces.study import confirmation_name

from .engine import Store
from .states import ENDED_TRIAL
from .tables import proposals, studies
from .trials import COLUMNS, views

PAGE_SIZE = 500


@dataclass(frozen=True)
class Place:
    """Where a reader stands in the numbered trials of one Optuna study."""

    top: int = -1
    """Every number up to this one has been seen."""
    open: frozenset[int] = frozenset()
    """Those among them that had not ended."""

    @property
    def low(self) -> int:
        """The first number that may still have something new: all below had ended when they were seen."""
        return min(self.open, default=self.top + 1)

    def after(self, trials: Sequence[TrialView]) -> Place:
        """Return the place after these trials have been seen, too."""
        seen = {trial.number for trial in trials}
        still = {trial.number for trial in trials if trial.state not in ENDED_TRIAL}
        return Place(top=max(self.top, *seen) if seen else self.top, open=(self.open - seen) | still)


def present_place(store: Store, study: str, *, confirmation: bool = False) -> Place:
    """Return the place of who has seen every trial of the study's search, or of its confirmation, up to now."""
    name = confirmation_name(study) if confirmation else study
    mine = proposals.c.study_name == name
    live = select(proposals.c.number).where(
        mine,
        proposals.c.number.is_not(None),
        proposals.c.study_id == select(studies.c.id).where(studies.c.name == study).scalar_subquery(),
        proposals.c.state.in_(("proposed", "leased")),
    )
    with store.read() as connection:
        top = connection.execute(select(func.max(proposals.c.number)).where(mine)).scalar()
        return Place(top=-1 if top is None else top, open=frozenset(connection.execute(live).scalars()))


def changed_trials(
    store: Store, study: str, place: Place, *, confirmation: bool = False, limit: int = PAGE_SIZE
) -> list[TrialView]:
    """Read the trials that were open at `place`, as they are now, and up to `limit` of those above it, by number."""
    name = confirmation_name(study) if confirmation else study
    with store.read() as connection:
        open_then = _open_then(connection, name, place)
        above = select(*COLUMNS).where(proposals.c.study_name == name, proposals.c.number > place.top)
        return open_then + views(connection, above.order_by(proposals.c.number).limit(limit))


def _open_then(connection: Connection, name: str, place: Place) -> list[TrialView]:
    if not place.open:
        return []
    numbers = sorted(place.open)
    mine = select(*COLUMNS).where(proposals.c.study_name == name, proposals.c.number.in_(numbers))
    return views(connection, mine.order_by(proposals.c.number))
