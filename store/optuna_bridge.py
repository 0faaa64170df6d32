"""The one module that knows how Optuna lays out its tables.

Optuna itself is imported only where its public functions create the tables or write a distribution, so that a
worker starts without it. No private module of Optuna's is used: the columns are checked by reflection.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, bindparam, inspect, text

from search_spaces.problems import Conflict, NameTaken
from search_spaces.ranges import AnyRange, Choice, FloatRange, IntRange

from .sql import Dialect, Write

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

KNOWN_SCHEMAS = frozenset({"v3.2.0.a"})
"""Versions of Optuna's own Alembic table that this module was written against."""

COLUMNS: dict[str, frozenset[str]] = {
    "studies": frozenset({"study_id", "study_name"}),
    "study_directions": frozenset({"study_id", "direction", "objective"}),
    "study_user_attributes": frozenset({"study_id", "key", "value_json"}),
    "study_system_attributes": frozenset({"study_id", "key", "value_json"}),
    "trials": frozenset({"trial_id", "number", "study_id", "state", "datetime_start", "datetime_complete"}),
    "trial_params": frozenset({"trial_id", "param_name", "param_value", "distribution_json"}),
    "trial_user_attributes": frozenset({"trial_id", "key", "value_json"}),
    "trial_values": frozenset({"trial_id", "objective", "value", "value_type"}),
    "trial_intermediate_values": frozenset({"trial_id", "step", "intermediate_value", "intermediate_value_type"}),
}


def create_tables(url: str) -> None:
    """Create Optuna's tables, or let it upgrade-check those that are there."""
    import optuna

    from .engine import make_engine

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    engine = make_engine(url)
    driver_url = engine.url.render_as_string(hide_password=False)
    engine.dispose()
    optuna.storages.RDBStorage(driver_url).engine.dispose()


def check_layout(connection: Connection) -> None:
    """Raise `Conflict` unless Optuna's tables are laid out as this module writes them."""
    version = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    if version not in KNOWN_SCHEMAS:
        known = ", ".join(sorted(KNOWN_SCHEMAS))
        raise Conflict(f"Optuna's tables have schema {version}; this Étude knows {known}")
    inspector = inspect(connection)
    for table, wanted in COLUMNS.items():
        missing = wanted - {column["name"] for column in inspector.get_columns(table)}
        if missing:
            raise Conflict(f"Optuna's table {table} lacks {', '.join(sorted(missing))}")


def create_study(connection: Connection, name: str, direction: str, attributes: Mapping[str, Any]) -> int:
    """Insert an Optuna study into the running transaction and return its id.

    Raises:
        NameTaken: an Optuna study of this name exists, ours or somebody else's.
    """
    if connection.execute(text("SELECT 1 FROM studies WHERE study_name = :name"), {"name": name}).first():
        raise NameTaken(f"an Optuna study named {name} exists in this store", field="name")
    study_id = connection.execute(
        text("INSERT INTO studies (study_name) VALUES (:name) RETURNING study_id"), {"name": name}
    ).scalar_one()
    dialect_cast = "CAST(:direction AS studydirection)" if _is_postgresql(connection) else ":direction"
    connection.execute(
        text(f"INSERT INTO study_directions (study_id, direction, objective) VALUES (:id, {dialect_cast}, 0)"),
        {"id": study_id, "direction": direction.upper()},
    )
    for key, value in attributes.items():
        connection.execute(
            text("INSERT INTO study_user_attributes (study_id, key, value_json) VALUES (:id, :key, :value)"),
            {"id": study_id, "key": key, "value": json.dumps(value)},
        )
    return int(study_id)


def delete_study(connection: Connection, study_id: int) -> None:
    """Remove an Optuna study with everything that belongs to it (SQLite does not cascade Optuna's tables)."""
    trial_tables = (
        "trial_user_attributes", "trial_system_attributes", "trial_params", "trial_values",
        "trial_intermediate_values", "trial_heartbeats",
    )  # fmt: skip
    if _is_postgresql(connection):
        # Who writes to it in this moment, a note or a stock user's report, is waited for; who would write later waits.
        for table in ("studies", "trials"):
            connection.execute(text(f"SELECT 1 FROM {table} WHERE study_id = :id FOR UPDATE"), {"id": study_id})
    of_study = "trial_id IN (SELECT trial_id FROM trials WHERE study_id = :id)"
    for table in trial_tables:
        connection.execute(text(f"DELETE FROM {table} WHERE {of_study}"), {"id": study_id})
    for table in (
        "trials",
        "study_directions",
        "study_user_attributes",
        "study_system_attributes",
        "studies",
    ):
        connection.execute(text(f"DELETE FROM {table} WHERE study_id = :id"), {"id": study_id})


def study_id(connection: Connection, name: str, *, held: bool = False) -> int | None:
    """Return the id of the Optuna study of this name, None where there is none; `held`: none removes it meanwhile."""
    lock = " FOR KEY SHARE" if held and _is_postgresql(connection) else ""
    query = text(f"SELECT study_id FROM studies WHERE study_name = :name{lock}")
    found = connection.execute(query, {"name": name}).scalar()
    return None if found is None else int(found)


def system_attributes(connection: Connection, study_id: int) -> dict[str, Any]:
    """Read what tools keep of a study: the dashboard's note and figures among it."""
    rows = connection.execute(
        text("SELECT key, value_json FROM study_system_attributes WHERE study_id = :id"), {"id": study_id}
    )
    return {key: json.loads(value) for key, value in rows}


def set_system_attributes(
    connection: Connection, study_id: int, values: Mapping[str, Any], gone: Sequence[str]
) -> None:
    """Write some of a study's system attributes and remove others, in the running transaction."""
    if gone:
        removed = [{"id": study_id, "key": key} for key in gone]
        connection.execute(text("DELETE FROM study_system_attributes WHERE study_id = :id AND key = :key"), removed)
    if values:
        rows = [{"id": study_id, "key": key, "value": json.dumps(value)} for key, value in values.items()]
        connection.execute(
            text(
                """INSERT INTO study_system_attributes (study_id, key, value_json) VALUES (:id, :key, :value)
                ON CONFLICT (study_id, key) DO UPDATE SET value_json = excluded.value_json"""
            ),
            rows,
        )


def _is_postgresql(connection: Connection) -> bool:
    return connection.dialect.name == "postgresql"


# Parameters


def distribution(allowed: AnyRange) -> BaseDistribution:
    """Return the Optuna distribution that stands for a range in the shared rows.

    `one_minus` has no counterpart there: the row shows the value itself, spread evenly.
    """
    from optuna import distributions

    if isinstance(allowed, FloatRange):
        return distributions.FloatDistribution(allowed.low, allowed.high, log=allowed.log)
    if isinstance(allowed, IntRange):
        return distributions.IntDistribution(allowed.low, allowed.high)
    return distributions.CategoricalDistribution(tuple(allowed.choices))


def optuna_params(params: Mapping[str, Any], ranges: Mapping[str, AnyRange]) -> list[list[Any]]:
    """Write a candidate's params as Optuna's rows: [name, internal value, distribution as JSON]."""
    from optuna.distributions import distribution_to_json

    rows = []
    for name, value in params.items():
        shape = distribution(ranges[name])
        internal = _internal(ranges[name], value)
        rows.append([name, internal, distribution_to_json(shape)])
    return rows


def _internal(allowed: AnyRange, value: Any) -> float:
    """Optuna's internal representation: a category's index, else the number within its range."""
    if isinstance(allowed, Choice):
        return float(next(i for i, choice in enumerate(allowed.choices) if choice == value))
    return min(max(float(value), float(allowed.low)), float(allowed.high))


def params_of(connection: Connection, trial_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Read the params of some trials from Optuna's rows: values by name, by trial."""
    from optuna.distributions import json_to_distribution

    if not trial_ids:
        return {}
    rows = connection.execute(_PARAMS, {"ids": list(trial_ids)})
    found: dict[int, dict[str, Any]] = {}
    for trial_id, name, value, shape in rows:
        found.setdefault(trial_id, {})[name] = json_to_distribution(shape).to_external_repr(value)
    return found


_PARAMS = text(
    "SELECT trial_id, param_name, param_value, distribution_json FROM trial_params WHERE trial_id IN :ids"
).bindparams(bindparam("ids", expanding=True))


# Writes that the verbs put beside their own


def insert_trials(dialect: Dialect, rows: list[dict[str, Any]]) -> Write:
    """Insert RUNNING rows with the ids of `rows` (trial_id, optuna_id, place, now).

    Their numbers are the count of the study's rows at this moment; the caller holds the study's lock. It is not
    counted: the row with the largest trial_id has the number before the count. Optuna itself numbers a row by those of
    its study with a smaller trial_id, rows are never deleted one by one, and the ids here and there are drawn under
    the lock. Read backwards by primary key this is the first row or the few of other studies after it.
    """
    start = dialect.naive_utc.format("r.now")
    state = dialect.enum.format("'RUNNING'", "trialstate")
    unfolded = dialect.rows("new_trials", trial_id="int", optuna_id="int", place="int", now="float8")
    sql = f"""
        INSERT INTO trials (trial_id, number, study_id, state, datetime_start)
        SELECT r.trial_id, coalesce(latest.number + 1, 0) + r.place, r.optuna_id, {state}, {start}
        FROM ({unfolded}) r
        LEFT JOIN (SELECT u.optuna_id, (SELECT t.number FROM trials t WHERE t.study_id = u.optuna_id
                                        ORDER BY t.trial_id DESC LIMIT 1) AS number
                   FROM (SELECT DISTINCT w.optuna_id FROM ({unfolded}) w) u) latest ON latest.optuna_id = r.optuna_id
        WHERE true
        RETURNING trial_id, number"""
    return Write("made", sql, {"new_trials": dialect.pack(rows)})


def insert_params(dialect: Dialect, rows: list[dict[str, Any]]) -> Write:
    """Insert the params of proposals (rows: id, trial_id) from what was stored when they were proposed."""
    sql = f"""
        INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json)
        SELECT r.trial_id, param.value ->> 0, CAST(param.value ->> 1 AS float), param.value ->> 2
        FROM ({dialect.rows("param_rows", id="int", trial_id="int")}) r
        JOIN etude_proposals p ON p.id = r.id
        CROSS JOIN {dialect.elements("p.optuna_params", "param")}
        WHERE true
        RETURNING trial_id"""
    return Write("params", sql, {"param_rows": dialect.pack(rows)})


def insert_attributes(dialect: Dialect, rows: list[dict[str, Any]]) -> Write:
    """Upsert user attributes (rows: trial_id, key, value_json)."""
    sql = f"""
        INSERT INTO trial_user_attributes (trial_id, key, value_json)
        SELECT r.trial_id, r.key, r.value_json
        FROM ({dialect.rows("attribute_rows", trial_id="int", key="text", value_json="text")}) r
        WHERE true
        ON CONFLICT (trial_id, key) DO UPDATE SET value_json = excluded.value_json
        RETURNING trial_id"""
    return Write("attributes", sql, {"attribute_rows": dialect.pack(rows)})


def insert_intermediate_values(dialect: Dialect, rows: list[dict[str, Any]]) -> Write:
    """Upsert values at rungs (rows: trial_id, step, value)."""
    kind = dialect.enum.format("r.kind", "trialintermediatevaluetype")
    packed = [{**row, **_typed(row["value"], ("FINITE", "INF_POS", "INF_NEG", "NAN"))} for row in rows]
    columns = dialect.rows("intermediate_rows", trial_id="int", step="int", value="float8", kind="text")
    sql = f"""
        INSERT INTO trial_intermediate_values (trial_id, step, intermediate_value, intermediate_value_type)
        SELECT r.trial_id, r.step, r.value, {kind} FROM ({columns}) r
        WHERE true
        ON CONFLICT (trial_id, step) DO UPDATE SET
          intermediate_value = excluded.intermediate_value,
          intermediate_value_type = excluded.intermediate_value_type
        RETURNING trial_id"""
    return Write("intermediate", sql, {"intermediate_rows": dialect.pack(packed)})


def insert_values(dialect: Dialect, rows: list[dict[str, Any]]) -> Write:
    """Insert final values (rows: trial_id, value)."""
    kind = dialect.enum.format("r.kind", "trialvaluetype")
    packed = [{**row, **_typed(row["value"], ("FINITE", "INF_POS", "INF_NEG", "FINITE"))} for row in rows]
    columns = dialect.rows("value_rows", trial_id="int", value="float8", kind="text")
    sql = f"""
        INSERT INTO trial_values (trial_id, objective, value, value_type)
        SELECT r.trial_id, 0, r.value, {kind} FROM ({columns}) r
        WHERE true
        ON CONFLICT (trial_id, objective) DO UPDATE SET value = excluded.value
        RETURNING trial_id"""
    return Write("finals", sql, {"value_rows": dialect.pack(packed)})


def end_trials(dialect: Dialect, rows: list[dict[str, Any]]) -> Write:
    """Set the state of rows (trial_id, optuna_state, now) that have ended."""
    state = dialect.enum.format("r.optuna_state", "trialstate")
    columns = dialect.rows("ended_rows", trial_id="int", optuna_state="text", now="float8")
    sql = f"""
        UPDATE trials SET state = {state}, datetime_complete = {dialect.naive_utc.format("r.now")}
        FROM ({columns}) r WHERE trials.trial_id = r.trial_id
        RETURNING trials.trial_id"""
    return Write("ended", sql, {"ended_rows": dialect.pack(rows)})


def _typed(value: float, names: tuple[str, str, str, str]) -> dict[str, Any]:
    """Optuna keeps numbers that are not finite as a type beside NULL."""
    finite, positive, negative, nan = names
    if math.isnan(value):
        return {"value": None, "kind": nan}
    if math.isinf(value):
        return {"value": None, "kind": positive if value > 0 else negative}
    return {"value": value, "kind": finite}
