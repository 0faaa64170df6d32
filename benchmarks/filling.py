"""Long histories in seconds: finished trials, made by the verbs or by Optuna itself, copied in SQL.

A copy differs from its original in its number and ids alone, in every table that a trial has rows in; statistics and
the visibility map are brought up to date at the end, as autovacuum would have done over hours.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, create_engine, make_url, text

OF_TRIALS = (
    "trial_params", "trial_values", "trial_intermediate_values", "trial_user_attributes", "trial_system_attributes",
    "etude_rung_values",
)  # fmt: skip


def copy_database(server_url: str, template: str, name: str) -> str:
    """Make the database `name` as it stands in `template`, which nobody may be using, and return its URL."""
    engine = create_engine(server_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE {template}")
    engine.dispose()
    return make_url(server_url).set(database=name).render_as_string(hide_password=False)


def multiply(url: str, study: str, finished: int) -> None:
    """Copy the finished trials of the Optuna study named `study`, ours or not, until it has `finished`."""
    engine = create_engine(url)
    with engine.begin() as connection:
        if _mark(connection, study, finished):
            _copy(connection, "trials", {"trial_id": "copied.new", "number": "copied.number"})
            for table in OF_TRIALS:
                _copy(connection, table, {"trial_id": "copied.new"})
            _copy_proposals(connection)
            _move_on(connection, "trials", "trial_id")
            _move_on(connection, "etude_proposals", "id")
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM ANALYZE")
    engine.dispose()


def _mark(connection: Connection, study: str, finished: int) -> int:
    """Fill a temporary table with (old trial_id, new trial_id, number) of the copies, and count them."""
    sql = """
        CREATE TEMP TABLE copied ON COMMIT DROP AS
        WITH source AS (SELECT t.trial_id, t.number FROM trials t JOIN studies s USING (study_id)
                        WHERE s.study_name = :study),
        size AS (SELECT count(*) AS n FROM source)
        SELECT source.trial_id AS old, made AS number,
          (SELECT max(trial_id) FROM trials) + 1 + made - size.n AS new
        FROM size, generate_series(size.n, CAST(:finished AS bigint) - 1) made
        JOIN source ON source.number = made % (SELECT n FROM size)"""
    return connection.execute(text(sql), {"study": study, "finished": finished}).rowcount


def _copy(connection: Connection, table: str, changed: Mapping[str, str]) -> None:
    """Copy the rows of the marked trials; a key of the table's own is given by its sequence."""
    owned = text(
        """SELECT column_name FROM information_schema.columns
        WHERE table_name = :table AND table_schema = 'public'
          AND (column_default IS NULL OR column_default NOT LIKE 'nextval%' OR column_name = ANY(:k))"""
    )
    columns = list(connection.execute(owned, {"table": table, "k": list(changed)}).scalars())
    values = ", ".join(changed.get(column, f"source.{column}") for column in columns)
    connection.execute(
        text(
            f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM copied JOIN {table} source"
            " ON source.trial_id = copied.old ORDER BY copied.number"
        )
    )


def _copy_proposals(connection: Connection) -> None:
    """Copy our own rows of the trials, each with its one segment; a study of stock Optuna's has none."""
    last = connection.execute(text("SELECT coalesce(max(id), 0) FROM etude_proposals")).scalar_one()
    key = f"{last} + 1 + copied.number"
    _copy(
        connection,
        "etude_proposals",
        {"id": key, "seq": "copied.number", "number": "copied.number", "trial_id": "copied.new"},
    )
    segments = "INSERT INTO etude_segments (proposal_id, position, horizon_steps, start_step) "
    connection.execute(text(f"{segments} SELECT id, 0, horizon_steps, 0 FROM etude_proposals WHERE id > {last}"))


def _move_on(connection: Connection, table: str, key: str) -> None:
    """Let the sequence of a key go on after the copies."""
    connection.exec_driver_sql(
        f"SELECT setval(pg_get_serial_sequence('{table}', '{key}'), (SELECT max({key}) + 1 FROM {table}))"
    )
