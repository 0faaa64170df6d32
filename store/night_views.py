"""The nights of recurrences as people read them, and what is forgotten of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, func, select, update

from search_spaces.problems import NotFound
from search_spaces.recurrence import RunView
from search_spaces.results import Page

from .engine import Store
from .held import as_time
from .recurrences import key_of
from .tables import recurrence_runs, recurrences, studies


def run_view(recurrence: str, row: Row[Any]) -> RunView:
    """Return a row of the table as one night of `recurrence`."""
    links = {}
    if row.study is not None:
        links = {"study": f"/v1/studies/{row.study}", "best": f"/v1/studies/{row.study}/best"}
    return RunView(
        recurrence=recurrence,
        due_at=as_time(row.due_at),
        study=row.study,
        state=row.state,
        reason=row.reason,
        asked_for=row.claim_id is not None,
        missed=row.missed,
        in_use=row.in_use,
        notes=row.notes,
        pruned=row.pruned,
        started_at=None if row.started_at is None else as_time(row.started_at),
        ended_at=None if row.ended_at is None else as_time(row.ended_at),
        links=links,
        **(row.outcome or {}),
    )


def list_runs(store: Store, name: str, *, limit: int = 50, cursor: str | None = None) -> Page:
    """Read the nights of a recurrence, latest first; `cursor` is what the page before gave as `next_cursor`.

    Raises:
        NotFound: there is no such recurrence or page.
    """
    with store.read() as connection:
        query = select(recurrence_runs).where(recurrence_runs.c.recurrence_id == key_of(connection, name))
        if cursor is not None:
            query = query.where(recurrence_runs.c.due_at < _before(cursor))
        rows = connection.execute(query.order_by(recurrence_runs.c.due_at.desc()).limit(limit + 1)).all()
    more = str(rows[limit - 1].due_at) if len(rows) > limit else None
    return Page(items=[run_view(name, row) for row in rows[:limit]], next_cursor=more)


def _before(cursor: str) -> float:
    digits = cursor.replace(".", "", 1)
    if not digits.isascii() or not digits.isdigit() or len(cursor) > 18:
        raise NotFound("there is no such page", field="cursor")
    return float(cursor)


def add_notes(store: Store, study: str, notes: Sequence[str]) -> None:
    """Add to the notes of the night whose study this is, what they do not hold yet; a study of no night has none."""
    with store.begin() as connection:
        mine = recurrence_runs.c.study == study
        found = connection.execute(select(recurrence_runs.c.notes).where(mine).with_for_update()).scalar()
        if found is None:
            return
        further = [note for note in notes if note not in found]
        if further:
            connection.execute(update(recurrence_runs).where(mine).values(notes=[*found, *further]))


# Forgetting


def beyond_keep(store: Store) -> list[str]:
    """Read the studies of nights that are over and older than the last `keep` of their recurrence that have one."""
    place = func.row_number().over(
        partition_by=recurrence_runs.c.recurrence_id, order_by=recurrence_runs.c.due_at.desc()
    )
    ranked = (
        select(recurrence_runs.c.recurrence_id, recurrence_runs.c.study, recurrence_runs.c.state, place.label("place"))
        .where(recurrence_runs.c.study.is_not(None), ~recurrence_runs.c.pruned)
        .subquery()
    )
    query = (
        select(ranked.c.study, ranked.c.place, recurrences.c.spec)
        .join(recurrences, recurrences.c.id == ranked.c.recurrence_id)
        .where(ranked.c.state.in_(("done", "stopped", "failed")), ranked.c.place > 1)
    )
    with store.read() as connection:
        return [row.study for row in connection.execute(query) if row.place > row.spec["keep"]]


def mark_pruned(store: Store, study: str) -> None:
    """Note that only the answer of a night's study is left."""
    with store.begin() as connection:
        connection.execute(update(recurrence_runs).where(recurrence_runs.c.study == study).values(pruned=True))


def is_there(store: Store, study: str) -> bool:
    """Tell whether a study has more than its answer."""
    query = select(studies.c.id).where(studies.c.name == study, ~studies.c.archived)
    with store.read() as connection:
        return connection.execute(query).first() is not None
