"""A change of a study's state: the one UPDATE that the state machine allows."""

from __future__ import annotations

from sqlalchemy import Connection, update

from .engine import Store
from .states import STUDY_MOVES, sources
from .tables import studies


def move(
    store: Store,
    connection: Connection,
    name: str,
    target: str,
    origins: tuple[str, ...],
    reason: str | None = None,
) -> bool:
    """Set a study's state where the machine allows it; tell whether a row changed."""
    allowed = tuple(set(origins) & set(sources(STUDY_MOVES, target)))
    changed = connection.execute(
        update(studies)
        .where(studies.c.name == name, studies.c.state.in_(allowed))
        .values(state=target, reason=reason, updated_at=store.now(connection))
    )
    return changed.rowcount > 0
