"""Which coordinator works on which study, and what it finds of studies that were deleted under it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, select, text, update

from search_spaces.problems import NotFound
from search_spaces.space import Space
from search_spaces.study import ResolvedStudy, StudySpec

from .engine import Store
from .moving import move
from .states import LIVE_STUDY, listed
from .tables import proposals, rung_values, studies

OWN_SECONDS = 8.0
"""How long a study stays with a coordinator that is not heard of: another has it within 10 s."""
REMOVED_OUTSIDE = "removed outside Étude"


@dataclass(frozen=True)
class LiveStudy:
    """A study that its coordinator works on."""

    name: str
    study_id: int
    state: str
    spec: StudySpec
    resolved: ResolvedStudy | None
    space: Space | None
    created_at: float
    """Seconds since 1970, UTC."""


def own(store: Store, owner: str, seconds: float) -> list[LiveStudy]:
    """Take or renew, for `seconds`, the ownership of live studies that nobody else owns; return those owned."""
    with store.begin() as connection:
        now = store.now(connection)
        _reconcile(store, connection)
        connection.execute(
            update(studies)
            .where(
                studies.c.state.in_(LIVE_STUDY),
                (studies.c.owner == owner) | (studies.c.owner_until < now) | studies.c.owner.is_(None),
            )
            .values(owner=owner, owner_until=now + seconds)
        )
        owned = select(studies).where(studies.c.owner == owner, studies.c.state.in_(LIVE_STUDY))
        rows = connection.execute(owned.order_by(studies.c.priority.desc(), studies.c.id)).all()
    return [_live(row) for row in rows]


def live_study(store: Store, name: str) -> LiveStudy:
    """Read a study as a coordinator does, without owning it; it may have ended.

    Raises:
        NotFound: there is no such study.
    """
    with store.read() as connection:
        row = connection.execute(select(studies).where(studies.c.name == name)).first()
    if row is None:
        raise NotFound(f"there is no study named {name}", field="name")
    return _live(row)


def disown(store: Store, owner: str) -> None:
    """Give up every study of `owner`, so that another coordinator need not wait for its lease to end."""
    with store.begin() as connection:
        mine = update(studies).where(studies.c.owner == owner)
        connection.execute(mine.values(owner=None, owner_until=None))


def _live(row: Row[Any]) -> LiveStudy:
    return LiveStudy(
        name=row.name,
        study_id=row.id,
        state=row.state,
        spec=StudySpec.model_validate(row.spec),
        resolved=None if row.resolved is None else ResolvedStudy.model_validate(row.resolved),
        space=None if row.space is None else Space.model_validate(row.space),
        created_at=row.created_at,
    )


def _reconcile(store: Store, connection: Connection) -> None:
    """Find studies whose Optuna study, or that of their confirmation, stock Optuna has deleted under us."""
    for row in connection.execute(text(_gone_sql(store))).all():
        of_study = proposals.c.study_id == row.id
        live: tuple[str, ...] = LIVE_STUDY
        if row.searched:  # the confirmation alone is gone
            connection.execute(delete(proposals).where(of_study, proposals.c.purpose != "search"))
            column, live = studies.c.confirmation_study_id, ("confirming", "confirming_paused")
        else:
            connection.execute(delete(rung_values).where(rung_values.c.study_id == row.id))
            connection.execute(delete(proposals).where(of_study))
            column = studies.c.optuna_study_id
        move(store, connection, row.name, "failed", live, REMOVED_OUTSIDE)
        connection.execute(update(studies).where(studies.c.id == row.id).values({column: None}))


def _gone_sql(store: Store) -> str:
    # By name too: SQLite gives the id of a deleted study to the next one. PostgreSQL forgets the ids by itself.
    here = "EXISTS (SELECT 1 FROM studies o WHERE o.study_id = {} AND o.study_name = {})"
    searched = here.format("s.optuna_study_id", "s.name")
    confirmed = here.format("s.confirmation_study_id", "s.name || '.confirmation'")
    looked_at = f"s.state IN ({listed(LIVE_STUDY)})" if store.dialect.single_statement else "NOT s.archived"
    return f"""SELECT s.id, s.name, {searched} AS searched FROM etude_studies s
        WHERE {looked_at} AND (
          (s.optuna_study_id IS NOT NULL OR (s.resolved IS NOT NULL AND s.state IN ({listed(LIVE_STUDY)})))
            AND NOT {searched}
          OR (s.confirmation_study_id IS NOT NULL OR s.state IN ('confirming', 'confirming_paused'))
            AND NOT {confirmed})"""
