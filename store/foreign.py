"""Foreign trials: rows that stock Optuna added to a study of ours. Most studies have none, and that is cheap to see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row

from . import optuna_bridge
from .sql import statement

STATES = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}
"""Our word for Optuna's state; every other one is a trial that somebody trains: `leased`."""

_WHEN = " ".join(f"WHEN '{theirs}' THEN '{ours}'" for theirs, ours in STATES.items())
_STATE = f"CASE t.state {_WHEN} ELSE 'leased' END"


@dataclass(frozen=True)
class ForeignTrial:
    """A trial of stock Optuna's in a study of ours."""

    number: int
    state: str
    value: float | None
    params: dict[str, Any]


def foreign_page(
    connection: Connection, optuna_id: int | None, *, state: str | None, after: int, limit: int
) -> list[ForeignTrial]:
    """Read the first `limit` foreign trials of an Optuna study with a number above `after`, in order."""
    if optuna_id is None or not _has_any(connection, optuna_id):
        return []
    parameters = {"optuna": optuna_id, "state": state, "after": after, "limit": limit}
    sql = f"""{_SELECT} AND t.number > :after
        AND (CAST(:state AS text) IS NULL OR {_STATE} = CAST(:state AS text))
        ORDER BY t.number LIMIT :limit"""
    return _trials(connection, connection.execute(statement(sql), parameters).all())


def latest_foreign(connection: Connection, optuna_id: int | None, limit: int) -> list[ForeignTrial]:
    """Read the last `limit` foreign trials of an Optuna study, in order."""
    if optuna_id is None or not _has_any(connection, optuna_id):
        return []
    rows = connection.execute(
        statement(f"{_SELECT} ORDER BY t.number DESC LIMIT :limit"), {"optuna": optuna_id, "limit": limit}
    ).all()
    return _trials(connection, rows[::-1])


def foreign_trial(connection: Connection, optuna_id: int | None, number: int) -> ForeignTrial | None:
    """Read one foreign trial; None where there is none of this number."""
    sql = f"{_SELECT} AND t.number = :number"
    rows = connection.execute(statement(sql), {"optuna": optuna_id, "number": number}).all()
    return next(iter(_trials(connection, rows)), None)


_SELECT = f"""SELECT t.trial_id, t.number, {_STATE} AS state, v.value FROM trials t
    LEFT JOIN trial_values v ON v.trial_id = t.trial_id AND v.objective = 0
    WHERE t.study_id = :optuna AND NOT EXISTS (SELECT 1 FROM etude_proposals p WHERE p.trial_id = t.trial_id)"""


def _has_any(connection: Connection, optuna_id: int) -> bool:
    """Compare two counts that indexes answer alone: looking for a row of theirs would read all of ours."""
    sql = """SELECT (SELECT count(*) FROM trials WHERE study_id = :optuna) >
          (SELECT count(*) FROM etude_proposals WHERE number >= 0
             AND study_name = (SELECT study_name FROM studies WHERE study_id = :optuna))"""
    return bool(connection.execute(statement(sql), {"optuna": optuna_id}).scalar())


def _trials(connection: Connection, rows: Sequence[Row[Any]]) -> list[ForeignTrial]:
    params = optuna_bridge.params_of(connection, [row.trial_id for row in rows])
    return [ForeignTrial(row.number, row.state, row.value, params.get(row.trial_id, {})) for row in rows]
