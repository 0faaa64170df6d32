"""Trials as people read them, and the end of those that are open when their study ends."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, select, text

from search_spaces.problems import NotFound
from search_spaces.results import Page, TrialView
from search_spaces.study import confirmation_name
from search_spaces.work import Report

from . import optuna_bridge
from .engine import Store
from .foreign import ForeignTrial, foreign_page, foreign_trial
from .sql import statement, together
from .states import ENDED_TRIAL, listed
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

    `purpose` defaults to the search; `tuning` and `confirmation` are the rows of `{name}.confirmation`. A page at the
    end costs what the first one does.
    """
    after = _cursor_number(cursor)
    purpose = purpose or "search"
    with store.read() as connection:
        row = connection.execute(
            select(studies.c.id, studies.c.name, studies.c.optuna_study_id).where(studies.c.name == study)
        ).first()
        if row is None:
            raise NotFound(f"there is no study named {study}", field="name")
        found = views(connection, _page(row, purpose, state, after).limit(limit + 1))
        # Numbers are those of Optuna's rows: where ours follow one another, no foreign trial is among them.
        gapless = len(found) > limit and found[-1].number == after + limit + 1
        if purpose == "search" and not gapless:
            foreign = foreign_page(connection, row.optuna_study_id, state=state, after=after, limit=limit + 1)
            found += [_foreign_view(study, trial) for trial in foreign]
            found.sort(key=lambda trial: trial.number)
    more = str(found[limit - 1].number) if len(found) > limit else None
    return Page(items=found[:limit], next_cursor=more)


def _cursor_number(cursor: str | None) -> int:
    if cursor is None:
        return -1
    if not cursor.isascii() or not cursor.isdigit() or len(cursor) > 18:
        raise NotFound("there is no such page", field="cursor")
    return int(cursor)


_READ = (
    "trial_id", "study_name", "number", "state", "purpose", "origin", "candidate", "params", "value", "metrics",
    "steps_done", "extra_steps", "horizon_steps", "seed", "worker", "attempts", "resume_step", "resumed_step", "error",
    "worker_seconds", "claimed_at", "finished_at",
)  # fmt: skip
COLUMNS = [proposals.c[name] for name in _READ]


def _page(study: Row[Any, Any, Any], purpose: str, state: str | None, after: int) -> Select[Any]:
    """Numbered rows of ours in order, by an index in every form."""
    query = (
        select(*COLUMNS).where(proposals.c.purpose == purpose, proposals.c.number > after).order_by(proposals.c.number)
    )
    if state is None:
        name = study.name if purpose == "search" else confirmation_name(study.name)
        return query.where(proposals.c.study_name == name)
    query = query.where(proposals.c.study_id == study.id, proposals.c.state == state)
    # The index of ended trials is partial: its own condition has to be seen.
    return query.where(text(f"state IN ({listed(ENDED_TRIAL)})")) if state in ENDED_TRIAL else query


def get_trial(store: Store, study: str, number: int) -> TrialView:
    """Read one trial with its whole curve; a confirmation's trials are those of `{name}.confirmation`.

    Raises:
        NotFound: there is no such study or trial.
    """
    mine = (proposals.c.study_name == study) & (proposals.c.number == number)
    with store.read() as connection:
        found = views(connection, select(*COLUMNS).where(mine))
        if found:
            return found[0].model_copy(update={"curve": _curve(connection, study, number)})
        optuna_id = connection.execute(select(studies.c.optuna_study_id).where(studies.c.name == study)).scalar()
        foreign = foreign_trial(connection, optuna_id, number)
        if foreign is None:
            raise NotFound(f"there is no trial {number} in {study}", field="number")
        return _foreign_view(study, foreign).model_copy(update={"curve": []})


def views(connection: Connection, query: Select[Any]) -> list[TrialView]:
    """Read trials of ours as people see them, in two statements for any number."""
    rows = connection.execute(query).all()
    rungs: dict[int, dict[int, float]] = {}
    values = (
        select(rung_values.c.trial_id, rung_values.c.rung, rung_values.c.value)
        .where(rung_values.c.trial_id.in_([row.trial_id for row in rows]), rung_values.c.kind == "raw")
        .order_by(rung_values.c.rung)
    )
    for trial_id, rung, value in connection.execute(values) if rows else ():
        rungs.setdefault(trial_id, {})[rung] = float("nan") if value is None else value
    return [_view(row, rungs.get(row.trial_id, {})) for row in rows]


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
        extra_steps=row.extra_steps,
        horizon_steps=row.horizon_steps,
        seed=row.seed,
        worker=row.worker,
        attempts=row.attempts,
        resume_step=row.resume_step,
        resumed_step=row.resumed_step,
        error=row.error,
        worker_seconds=row.worker_seconds,
        claimed_at=_time(row.claimed_at),
        finished_at=_time(row.finished_at),
    )


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _foreign_view(study: str, trial: ForeignTrial) -> TrialView:
    return TrialView.model_validate({**asdict(trial), "study": study, "purpose": "search", "origin": "foreign"})


def _curve(connection: Connection, study: str, number: int) -> list[Report]:
    """Read a trial's chunks and its tail."""
    mine = (proposals.c.study_name == study) & (proposals.c.number == number)
    row = connection.execute(select(proposals.c.id, proposals.c.tail).where(mine)).one()
    chunks = connection.execute(
        select(curve_chunks.c.points).where(curve_chunks.c.proposal_id == row.id).order_by(curve_chunks.c.first_step)
    ).scalars()
    return merged_reports([*chunks, row.tail or []])


def merged_reports(parts: Iterable[Any]) -> list[Report]:
    """Merge the parts of a curve, in their order, by step: what was reported last holds."""
    points: dict[tuple[int, str], Any] = {}
    for part in parts:
        for step, kind, value in json.loads(part) if isinstance(part, str) else part:
            points[step, kind] = value
    return [Report(step=step, kind=kind, value=value) for (step, kind), value in sorted(points.items())]
