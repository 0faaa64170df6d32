"""Trials as people read them, and the end of those that are open when their study ends."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, select, text

from search_spaces.problems import NotFound
from search_spaces.results import Page, TrialView
from search_spaces.study import confirmation_name
from search_spaces.work import Report

from . import optuna_bridge
from .engine import Store
from .sql import statement, together
from .tables import curve_chunks, proposals, rung_values, studies


def end_open_trials(store: Store, connection: Connection, study_id: int) -> None:
    """Stop what is leased or was claimed before, and delete proposals that no worker ever had."""
    dialect = store.dialect
    stopped = connection.execute(
        statement(
            f"""UPDATE etude_proposals SET state = 'stopped', ended_lease = lease, lease = NULL,
              lease_expires_at = NULL, finished_at = {dialect.now}
            WHERE study_id = :id AND (state = 'leased' OR (state = 'proposed' AND number IS NOT NULL))
            RETURNING trial_id, finished_at AS now"""
        ),
        {"id": study_id},
    ).all()
    connection.execute(
        proposals.delete().where(
            proposals.c.study_id == study_id, proposals.c.state == "proposed", proposals.c.number.is_(None)
        )
    )
    if stopped:
        ended = [{"trial_id": row.trial_id, "optuna_state": "FAIL", "now": row.now} for row in stopped]
        together(connection, dialect, [optuna_bridge.end_trials(dialect, ended)])


def list_trials(
    store: Store,
    study: str,
    *,
    state: str | None = None,
    purpose: str | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page:
    """Read a page of a study's trials by number: the search's with the foreign ones, or another purpose's.

    `purpose` defaults to the search; `tuning` and `confirmation` are the rows of `{name}.confirmation`.
    """
    after = _cursor_number(cursor)
    with store.read() as connection:
        row = connection.execute(select(studies).where(studies.c.name == study)).first()
        if row is None:
            raise NotFound(f"there is no study named {study}", field="name")
        found = _rows(connection, row, purpose or "search", state, limit + 1, after)
        views = _views(connection, row.name, found[:limit])
    more = str(found[limit - 1].number) if len(found) > limit else None
    return Page(items=views, next_cursor=more)


def _cursor_number(cursor: str | None) -> int:
    if cursor is None:
        return -1
    if not cursor.isascii() or not cursor.isdigit() or len(cursor) > 18:
        raise NotFound("there is no such page", field="cursor")
    return int(cursor)


_FOREIGN_STATE = """CASE t.state WHEN 'COMPLETE' THEN 'complete' WHEN 'PRUNED' THEN 'pruned'
    WHEN 'FAIL' THEN 'failed' ELSE 'leased' END"""


def _rows(
    connection: Connection, study: Row[Any], purpose: str, state: str | None, limit: int, after: int
) -> list[Row[Any]]:
    """Numbered rows of the Optuna study, ours and foreign, in order."""
    optuna_id = study.optuna_study_id if purpose == "search" else study.confirmation_study_id
    sql = f"""
        SELECT t.trial_id, t.number, p.id, coalesce(p.state, {_FOREIGN_STATE}) AS state
        FROM trials t LEFT JOIN etude_proposals p ON p.trial_id = t.trial_id
        WHERE t.study_id = :optuna AND t.number > :after
          AND (CAST(:state AS text) IS NULL OR coalesce(p.state, {_FOREIGN_STATE}) = CAST(:state AS text))
          AND (coalesce(p.purpose, 'search') = :purpose)
        ORDER BY t.number LIMIT :limit"""
    parameters = {"optuna": optuna_id, "after": after, "state": state, "purpose": purpose, "limit": limit}
    return list(connection.execute(statement(sql), parameters))


def get_trial(store: Store, study: str, number: int) -> TrialView:
    """Read one trial with its whole curve; a confirmation's trials are those of `{name}.confirmation`.

    Raises:
        NotFound: there is no such study or trial.
    """
    base = study.removesuffix(".confirmation")
    confirming = study == confirmation_name(base)
    column = studies.c.confirmation_study_id if confirming else studies.c.optuna_study_id
    with store.read() as connection:
        optuna_id = connection.execute(select(column).where(studies.c.name == base)).scalar()
        found = connection.execute(
            statement(
                f"""SELECT t.trial_id, t.number, p.id, coalesce(p.state, {_FOREIGN_STATE}) AS state
                FROM trials t LEFT JOIN etude_proposals p ON p.trial_id = t.trial_id
                WHERE t.study_id = :optuna AND t.number = :number"""
            ),
            {"optuna": optuna_id, "number": number},
        ).first()
        if found is None:
            raise NotFound(f"there is no trial {number} in {study}", field="number")
        view = _views(connection, study, [found])[0]
        return view.model_copy(update={"curve": _curve(connection, found.id)})


def _views(connection: Connection, study: str, entries: Sequence[Row[Any]]) -> list[TrialView]:
    """Read trials as people see them, in three statements for any number of ours."""
    ids = [entry.id for entry in entries if entry.id is not None]
    ours = {row.id: row for row in connection.execute(select(proposals).where(proposals.c.id.in_(ids)))}
    rungs: dict[int, dict[int, float]] = {}
    values = (
        select(rung_values.c.trial_id, rung_values.c.rung, rung_values.c.value)
        .where(rung_values.c.trial_id.in_([row.trial_id for row in ours.values()]), rung_values.c.kind == "raw")
        .order_by(rung_values.c.rung)
    )
    for trial_id, rung, value in connection.execute(values):
        rungs.setdefault(trial_id, {})[rung] = float("nan") if value is None else value
    return [
        _foreign_view(connection, study, entry)
        if entry.id is None
        else _view(ours[entry.id], rungs.get(entry.trial_id, {}))
        for entry in entries
    ]


def _view(row: Row[Any], rungs: dict[int, float]) -> TrialView:
    return TrialView(
        study=row.study_name,
        number=row.number,
        state=row.state,
        purpose=row.purpose,
        origin=row.origin,
        candidate=row.candidate,
        params=row.params,
        value=row.value,
        metrics=row.metrics or {},
        rungs=rungs,
        steps_done=row.steps_done,
        horizon_steps=row.horizon_steps,
        seed=row.seed,
        worker=row.worker,
        attempts=row.attempts,
        resume_step=row.resume_step,
        error=row.error,
        worker_seconds=row.worker_seconds,
        claimed_at=_time(row.claimed_at),
        finished_at=_time(row.finished_at),
    )


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _foreign_view(connection: Connection, study: str, entry: Row[Any]) -> TrialView:
    value = connection.execute(
        text("SELECT value FROM trial_values WHERE trial_id = :id AND objective = 0"), {"id": entry.trial_id}
    ).scalar()
    return TrialView(
        study=study,
        number=entry.number,
        state=entry.state,
        purpose="search",
        origin="foreign",
        params=optuna_bridge.params_of(connection, entry.trial_id),
        value=value,
    )


def _curve(connection: Connection, proposal_id: int | None) -> list[Report]:
    """Merge a trial's chunks and its tail by step: what was reported last holds."""
    if proposal_id is None:
        return []
    chunks = connection.execute(
        select(curve_chunks.c.points)
        .where(curve_chunks.c.proposal_id == proposal_id)
        .order_by(curve_chunks.c.first_step)
    ).scalars()
    tail = connection.execute(select(proposals.c.tail).where(proposals.c.id == proposal_id)).scalar()
    points: dict[tuple[int, str], Any] = {}
    for chunk in [*chunks, tail or []]:
        for step, kind, value in json.loads(chunk) if isinstance(chunk, str) else chunk:
            points[step, kind] = value
    return [Report(step=step, kind=kind, value=value) for (step, kind), value in sorted(points.items())]
