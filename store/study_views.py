"""Studies as people read them: state, budget, counts, the best so far."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, select, text

from search_spaces.problems import NotFound
from search_spaces.results import Answer, BestTrial, BudgetUse, Counts, Page, StudyView
from search_spaces.study import StudySpec

from .engine import Store
from .held import as_time
from .tables import proposals, studies


def get_study(store: Store, name: str) -> StudyView:
    """Read one study.

    Raises:
        NotFound: there is no such study.
    """
    with store.read() as connection:
        row = connection.execute(select(studies).where(studies.c.name == name)).first()
        if row is None:
            raise NotFound(f"there is no study named {name}", field="name")
        return _view(connection, row)


def list_studies(
    store: Store,
    *,
    state: str | None = None,
    tag: str | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page:
    """Read studies, newest first; `cursor` is what the page before gave as `next_cursor`."""
    query = select(studies).order_by(studies.c.id.desc())
    if state is not None:
        query = query.where(studies.c.state == state)
    if cursor is not None:
        query = query.where(studies.c.id < _cursor_number(cursor))
    found: list[StudyView] = []
    last: int | None = None
    with store.read() as connection:
        for row in connection.execute(query).yield_per(100):
            if tag is not None and tag not in row.spec.get("tags", []):
                continue
            if len(found) == limit:
                return Page(items=found, next_cursor=str(last))
            found.append(_view(connection, row))
            last = row.id
    return Page(items=found)


def _cursor_number(cursor: str) -> int:
    if not cursor.isascii() or not cursor.isdigit() or len(cursor) > 18:
        raise NotFound("there is no such page", field="cursor")
    return int(cursor)


def stored_answer(store: Store, name: str) -> Answer | None:
    """Return the final answer of a study, None while there is none."""
    with store.read() as connection:
        row = connection.execute(select(studies.c.answer).where(studies.c.name == name)).first()
    if row is None:
        raise NotFound(f"there is no study named {name}", field="name")
    return None if row.answer is None else Answer.model_validate(row.answer)


def _view(connection: Connection, row: Row[Any]) -> StudyView:
    spec = StudySpec.model_validate(row.spec)
    counts, confirmation, used = _tally(connection, row)
    return StudyView(
        name=row.name,
        state=row.state,
        reason=row.reason,
        spec=spec,
        horizon_steps=(row.resolved or {}).get("horizon_steps"),
        metric=(row.resolved or {}).get("metric"),
        direction=(row.resolved or {}).get("direction"),
        arithmetic=(row.resolved or {}).get("arithmetic"),
        space=row.space,
        budget=BudgetUse(
            trials=row.budget_trials,
            worker_seconds=spec.budget.worker_seconds,
            deadline=spec.budget.deadline,
            used_trials=counts.ended,
            used_worker_seconds=used,
        ),
        counts=counts,
        confirmation=confirmation,
        best=_best(connection, row),
        created_at=as_time(row.created_at),
        updated_at=as_time(row.updated_at),
        links=_links(row.name),
    )


def _tally(connection: Connection, row: Row[Any]) -> tuple[Counts, Counts, float]:
    """Count search and confirmation trials by state, and sum the search's worker-seconds."""
    grouped = connection.execute(
        text(
            """SELECT purpose, state, count(*) AS n, sum(worker_seconds) AS seconds
            FROM etude_proposals WHERE study_id = :id GROUP BY purpose, state"""
        ),
        {"id": row.id},
    ).all()
    search: dict[str, int] = {}
    confirmation: dict[str, int] = {}
    seconds = 0.0
    for group in grouped:
        part = search if group.purpose == "search" else confirmation
        part[group.state] = part.get(group.state, 0) + group.n
        seconds += group.seconds if group.purpose == "search" else 0.0
    if row.optuna_study_id is not None:
        search["foreign"] = _foreign(connection, row.optuna_study_id)
    return Counts(**search), Counts(**confirmation), seconds


def _foreign(connection: Connection, optuna_id: int) -> int:
    return int(
        connection.execute(
            text(
                """SELECT (SELECT count(*) FROM trials WHERE study_id = :id)
                - (SELECT count(*) FROM etude_proposals p JOIN trials t ON t.trial_id = p.trial_id
                   WHERE t.study_id = :id)"""
            ),
            {"id": optuna_id},
        ).scalar_one()
    )


def _best(connection: Connection, row: Row[Any]) -> BestTrial | None:
    if row.resolved is None:
        return None
    order = proposals.c.value.desc() if row.resolved["direction"] == "maximize" else proposals.c.value
    best = connection.execute(
        select(proposals.c.number, proposals.c.value)
        .where(proposals.c.study_id == row.id, proposals.c.purpose == "search", proposals.c.state == "complete")
        .order_by(order, proposals.c.number)
        .limit(1)
    ).first()
    return None if best is None else BestTrial(trial=best.number, value=best.value)


def _links(name: str) -> dict[str, str]:
    base = f"/v1/studies/{name}"
    return {
        "self": base,
        "trials": f"{base}/trials",
        "best": f"{base}/best",
        "curve": f"{base}/best/curve",
    }
