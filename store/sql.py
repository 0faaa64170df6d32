"""One text of SQL for PostgreSQL and SQLite: the few fragments in which they differ, and how writes go together.

The verbs pass rows as one JSON parameter, so that a statement's text does not depend on how many trials it
covers; `together` sends several writes as one statement where the database can (PostgreSQL), else in order.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import Connection, Row, TextClause, text

_SQLITE_TYPES = {"text": "TEXT", "int": "INTEGER", "float8": "REAL", "bool": "INTEGER", "jsonb": "TEXT"}


@dataclass(frozen=True)
class Dialect:
    """The fragments of SQL in which the two databases differ."""

    name: str
    now: str
    """Seconds since 1970 in UTC, by the database's clock."""
    naive_utc: str
    """A DateTime column's value for the epoch seconds in {0}, as Optuna writes it."""
    lock: str
    lock_skip: str
    object: str
    array_of_text: str
    next_trial_id: str
    enum: str
    """A cast of {0} to Optuna's enumeration {1}."""
    text_of: str
    """A number as text."""
    joined: str
    """The JSON arrays {0} and {1} as one."""

    @property
    def single_statement(self) -> bool:
        """Whether several writes can be one statement."""
        return self.name == "postgresql"

    def rows(self, parameter: str, **columns: str) -> str:
        """A SELECT that unfolds the JSON array `:parameter` of objects into typed columns."""
        if self.name == "postgresql":
            typed = ", ".join(f"{name} {kind}" for name, kind in columns.items())
            # The limit changes nothing but the plan: without it the planner takes every call for a hundred rows, and
            # reads a table of trials from end to end to find one.
            return f"""SELECT * FROM jsonb_to_recordset(CAST(:{parameter} AS jsonb)) AS unfolded({typed})
                LIMIT jsonb_array_length(CAST(:{parameter} AS jsonb))"""
        picked = ", ".join(
            f"CAST(value ->> '{name}' AS {_SQLITE_TYPES[kind]}) AS {name}" for name, kind in columns.items()
        )
        return f"SELECT {picked} FROM json_each(:{parameter})"

    def elements(self, column: str, alias: str) -> str:
        """A FROM item that unfolds the JSON array in `column`; `{alias}.value` is an element."""
        if self.name == "postgresql":
            return f"LATERAL jsonb_array_elements({column}) AS {alias}(value)"
        return f"json_each({column}) AS {alias}"

    def pack(self, rows: Sequence[dict[str, Any]]) -> str:
        """Write rows as the JSON text that `rows` unfolds; nan and infinities survive."""
        return json.dumps([{key: self._packed(value) for key, value in row.items()} for row in rows])

    def _packed(self, value: Any) -> Any:
        if not isinstance(value, float) or math.isfinite(value):
            return value
        if self.name == "postgresql":
            return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        # SQLite has no NaN (NULL stands for it) and reads an overflowing numeral as an infinity.
        return None if math.isnan(value) else "9e999" if value > 0 else "-9e999"


POSTGRESQL = Dialect(
    name="postgresql",
    now="extract(epoch FROM clock_timestamp())::float8",
    naive_utc="(to_timestamp({0}) AT TIME ZONE 'UTC')",
    lock="FOR UPDATE OF p",
    lock_skip="FOR UPDATE OF p SKIP LOCKED",
    object="jsonb_build_object",
    array_of_text="string_agg({0}, ',')",
    next_trial_id="nextval(pg_get_serial_sequence('trials', 'trial_id'))",
    enum="CAST({0} AS {1})",
    text_of="CAST({0} AS text)",
    joined="{0} || {1}",
)
SQLITE = Dialect(
    name="sqlite",
    now="((julianday('now') - 2440587.5) * 86400.0)",
    naive_utc="(strftime('%Y-%m-%d %H:%M:%f', {0}, 'unixepoch') || '000')",
    lock="",
    lock_skip="",
    object="json_object",
    array_of_text="group_concat({0}, ',')",
    # Above those of proposals whose trials stock Optuna has deleted, too, until the coordinator has seen it.
    next_trial_id="""(max((SELECT coalesce(max(trial_id), 0) FROM trials),
        (SELECT coalesce(max(trial_id), 0) FROM etude_proposals)) + row_number() OVER (ORDER BY {0}))""",
    enum="{0}",
    text_of="CASE WHEN {0} IS NULL THEN 'nan' ELSE printf('%!.17g', {0}) END",  # a cast keeps 15 digits only
    joined="""(SELECT json_group_array(json(value)) FROM
        (SELECT value FROM json_each({0}) UNION ALL SELECT value FROM json_each({1})))""",
)


@cache
def statement(sql: str) -> TextClause:
    """Parse a statement once; colons of casts are written as CAST."""
    return text(sql)


@dataclass(frozen=True)
class Write:
    """One data-modifying statement with its parameters; `name` is its CTE on PostgreSQL."""

    name: str
    sql: str
    parameters: dict[str, Any]


def together(connection: Connection, dialect: Dialect, writes: Sequence[Write]) -> Sequence[Row[Any]]:
    """Run writes that belong together: one statement on PostgreSQL, one each on SQLite.

    On PostgreSQL all of them see the same snapshot, so a write may read another only through its CTE by name.
    Returns the rows of the last write, which must have a RETURNING clause.
    """
    if not writes:
        return []
    if not dialect.single_statement:
        rows: Sequence[Row[Any]] = []
        for write in writes:
            result = connection.execute(statement(write.sql), write.parameters)
            rows = result.all() if result.returns_rows else []
        return rows
    parts = ",\n".join(f"{write.name} AS ({write.sql})" for write in writes)
    parameters = {key: value for write in writes for key, value in write.parameters.items()}
    sql = f"WITH {parts}\nSELECT * FROM {writes[-1].name}"
    return connection.execute(statement(sql), parameters).all()
