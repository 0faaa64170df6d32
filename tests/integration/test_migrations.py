"""The tables: migrations and models agree, upgrades are safe beside one another, strangers are refused."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from search_spaces.problems import Conflict, StoreUnavailable
from store import Store, open_store
from store.tables import metadata
from store.upgrade import VERSION_TABLE, alembic_settings, head_version, stored_version
from store.verbs import SqlVerbs
from tests.studies import add_proposals, claim, finish, run_study


def test_migrations_from_empty_equal_the_models(store: Store) -> None:
    """What the migrations build is what store/tables.py says."""

    def ours(thing: object, name: str | None, kind: str, _reflected: bool, _other: object) -> bool:
        return kind != "table" or (str(name).startswith("etude_") and name != VERSION_TABLE)

    with store.read() as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": VERSION_TABLE, "include_object": ours, "compare_type": True}
        )
        differences = compare_metadata(context, metadata)

    assert differences == []


def test_several_processes_may_open_an_empty_store(store_url: str) -> None:
    """Whoever comes first creates the tables, the others wait for it."""
    with ThreadPoolExecutor(4) as pool:
        stores = list(pool.map(lambda _n: open_store(store_url), range(4)))

    assert [stored_version(opened) for opened in stores] == [head_version()] * 4
    for opened in stores:
        opened.close()


def test_an_embedded_store_has_readers_beside_its_writer(sqlite_url: str) -> None:
    """While one connection writes, another reads at once: the file is in write-ahead mode."""
    opened = open_store(sqlite_url)

    with opened.begin() as writer:
        writer.execute(text("DELETE FROM etude_workers"))
        with opened.read() as reader:
            mode = reader.execute(text("PRAGMA journal_mode")).scalar()

    opened.close()
    assert mode == "wal"


def test_a_worker_with_one_connection_may_open_an_empty_store(store_url: str) -> None:
    """The upgrade needs no more connections of the pool than a worker's has."""
    opened = open_store(store_url, pool_size=1)

    assert stored_version(opened) == head_version()
    opened.close()


def test_a_store_of_an_older_schema_opens(store: Store) -> None:
    """A store that an earlier version of the tables wrote is migrated, and its studies go on."""
    run_study(store)
    add_proposals(store, count=2)
    trial = claim(SqlVerbs(store))[0]
    settings = alembic_settings()
    with store.begin() as connection:
        settings.attributes["connection"] = connection
        command.downgrade(settings, "0001")

    opened = open_store(store.url)
    ended = finish(SqlVerbs(opened), trial)

    assert ended.accepted
    assert stored_version(opened) == head_version()
    opened.close()


def test_a_store_of_another_version_is_refused(store: Store) -> None:
    """Tables that this code does not know are an error that says what to do."""
    with store.begin() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))

    with pytest.raises(Conflict, match="9999"):
        open_store(store.url, upgrade=False)


def test_an_optuna_schema_of_another_version_is_refused(store: Store) -> None:
    """The bridge knows one layout of Optuna's tables and says so when it meets another."""
    with store.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'v9'"))

    with pytest.raises(Conflict, match="schema v9"):
        open_store(store.url)


def test_a_database_that_is_away_is_a_clear_error() -> None:
    """No database: the problem is store_unavailable, with the driver's words."""
    with pytest.raises(StoreUnavailable, match="connection"):
        open_store("postgresql://nobody@127.0.0.1:1/none")


def test_the_database_refuses_impossible_rows(store: Store) -> None:
    """A trial cannot be leased without a lease: a CHECK says so, whatever the code does."""
    from sqlalchemy.exc import IntegrityError

    run_study(store)
    add_proposals(store, count=1)

    with pytest.raises(IntegrityError), store.begin() as connection:
        connection.execute(text("UPDATE etude_proposals SET state = 'leased'"))
