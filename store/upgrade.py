"""Bringing a store up to date, by one process at a time, and refusing one that this version does not know."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, NullPool, create_engine, make_url, text

from search_spaces.problems import Conflict

from . import optuna_bridge

if TYPE_CHECKING:
    from .engine import Store

VERSION_TABLE = "etude_alembic_version"
_UPGRADE_LOCK = 0x45545544  # any number that nobody else's advisory lock has


def alembic_settings() -> Config:
    """Return Alembic's settings: where the migrations lie."""
    settings = Config()
    settings.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return settings


@cache
def head_version() -> str:
    """Return the version of the tables that this code is written for."""
    head = ScriptDirectory.from_config(alembic_settings()).get_current_head()
    assert head is not None
    return head


def stored_version(store: Store) -> str | None:
    """Return the version of the tables in the database, None when there are none."""
    with store.read() as connection:
        return MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_revision()


def version_in(connection: Connection) -> str | None:
    """Return the version of the tables as one statement reads it; they are there."""
    version: str | None = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()
    return version


def bring_up_to_date(store: Store) -> None:
    """Create or migrate Optuna's tables and ours; a store that is up to date is left alone."""
    if stored_version(store) == head_version():
        return
    with _alone(store):
        _write_ahead(store)
        optuna_bridge.create_tables(store.url)
        settings = alembic_settings()
        with store.begin() as connection:
            settings.attributes["connection"] = connection
            command.upgrade(settings, "head")


def _write_ahead(store: Store) -> None:
    """Let readers of an SQLite file go on beside its writer; the file remembers it.

    Here and not at each connection: the change of mode waits for nobody, and fails beside a transaction.
    """
    if store.dialect.name == "sqlite":
        with store.engine.connect() as connection:
            raw = connection.connection.driver_connection
            assert raw is not None
            raw.execute("PRAGMA journal_mode=WAL")


def check_version(store: Store) -> None:
    """Raise `Conflict` when the tables, Optuna's or ours, are not those that this code knows."""
    found, wanted = stored_version(store), head_version()
    if found != wanted:
        raise Conflict(
            f"the store's tables have version {found or 'none'}, this Étude needs {wanted}:"
            " run `python -m store upgrade`, or use the Étude that wrote the store"
        )
    with store.read() as connection:
        optuna_bridge.check_layout(connection)


@contextmanager
def _alone(store: Store) -> Iterator[None]:
    """Keep other processes from upgrading the same store meanwhile."""
    if store.dialect.name == "postgresql":
        # A connection beside the store's own: a worker's pool has one, and the upgrade needs it.
        engine = create_engine(store.engine.url, poolclass=NullPool)
        with engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _UPGRADE_LOCK})
            yield  # the lock goes with the connection
        return
    with Path(f"{make_url(store.url).database}.upgrade-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
