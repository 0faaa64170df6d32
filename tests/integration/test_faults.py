"""Faults of the database: what was acknowledged is there, what was not is refused clearly, and work goes on."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text

from search_spaces.problems import StoreUnavailable
from search_spaces.work import ClaimedTrial
from store import Store, open_store
from store.studies import get_study, list_studies
from store.trials import get_trial
from store.verbs import SqlVerbs
from tests.postgres import Postgres
from tests.studies import add_proposals, claim, finish, report, report_item, run_study


@pytest.fixture
def own_server() -> Iterator[Postgres]:
    """A PostgreSQL that this test may stop."""
    server = Postgres()
    yield server
    server.remove()


def test_a_restart_of_postgresql_loses_nothing_acknowledged(own_server: Postgres) -> None:
    """Verbs fail clearly while the server is away, and the same calls succeed when it is back."""
    store = open_store(own_server.url())
    run_study(store)
    add_proposals(store, count=2)
    verbs = SqlVerbs(store)
    trial = claim(verbs)[0]
    report(verbs, report_item(trial, (10, 1.0)))

    own_server.stop("immediate")
    with pytest.raises(StoreUnavailable):
        report(verbs, report_item(trial, (20, 0.9)))
    with pytest.raises(StoreUnavailable):
        claim(verbs)
    own_server.start()
    report(verbs, report_item(trial, (20, 0.9)))
    finish(verbs, trial, 0.5)

    view = get_trial(store, "mine", 0)
    assert view.rungs == {10: 1.0, 20: 0.9}
    assert view.state == "complete"
    store.close()


def test_an_acknowledged_report_survives_kill_minus_nine(sqlite_url: str) -> None:
    """A process that is killed right after its report was answered has stored it."""
    store = open_store(sqlite_url)
    run_study(store)
    add_proposals(store, count=1)
    script = (
        "import os, sys\n"
        "from store import open_store\n"
        "from store.verbs import SqlVerbs\n"
        "from tests.studies import claim, report, report_item\n"
        "verbs = SqlVerbs(open_store(sys.argv[1]))\n"
        "trial = claim(verbs)[0]\n"
        "report(verbs, report_item(trial, (10, 0.25)))\n"
        "os.kill(os.getpid(), 9)\n"
    )

    ended = subprocess.run([sys.executable, "-c", script, sqlite_url], timeout=60, check=False, cwd=Path.cwd())

    assert ended.returncode == -9
    assert get_trial(store, "mine", 0).rungs == {10: 0.25}
    store.close()


def test_a_full_disk_is_a_clear_error_and_work_goes_on(sqlite_url: str) -> None:
    """SQLite without room: the verb says so, nothing is half written, and with room again it succeeds."""
    store = open_store(sqlite_url, pool_size=1)
    run_study(store)
    add_proposals(store, count=1)
    verbs = SqlVerbs(store)
    trial = claim(verbs)[0]
    pages = limit_pages(store)

    with pytest.raises(StoreUnavailable, match="full"):
        report_for_long(verbs, trial)
    limit_pages(store, pages * 100)
    answer = report(verbs, report_item(trial, (10**6, 0.5)))[0]

    assert answer.accepted
    with closing(sqlite3.connect(file_of(store))) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    store.close()


def report_for_long(verbs: SqlVerbs, trial: ClaimedTrial) -> None:
    """Report 18,000 points: some megabytes of curve."""
    for shift in range(200):
        report(verbs, report_item(trial, *((100 * shift + step, float(step)) for step in range(1, 90))))


def limit_pages(store: Store, limit: int | None = None) -> int:
    """Let the store's one connection use no more pages than now (or than `limit`), as on a full disk."""
    with store.engine.connect() as connection:
        raw = connection.connection.driver_connection
        assert raw is not None
        now = int(raw.execute("PRAGMA page_count").fetchone()[0])
        raw.execute(f"PRAGMA max_page_count = {limit or now}")
    return now


def file_of(store: Store) -> str:
    return str(store.engine.url.database)


def test_a_read_only_store_is_a_clear_error(sqlite_url: str) -> None:
    """A store that may not be written to says so, can still be read, and is opened anew to be written to."""
    store = open_store(sqlite_url, pool_size=1)
    with store.engine.connect() as connection:
        raw = connection.connection.driver_connection
        assert raw is not None
        raw.execute("PRAGMA query_only = ON")

    with pytest.raises(StoreUnavailable, match="readonly"):
        run_study(store)
    listed = list_studies(store).items
    run_study(store)

    assert listed == []
    assert [view.name for view in list_studies(store).items] == ["mine"]
    store.close()


def test_sessions_in_other_time_zones_change_nothing(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker whose TZ and PGTZ are elsewhere neither loses its lease nor keeps it for ever."""
    here = open_store(postgres_url)
    run_study(here)
    add_proposals(here, count=1)
    monkeypatch.setenv("PGTZ", "America/New_York")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    there = open_store(postgres_url)

    trial = claim(SqlVerbs(there))[0]
    second = claim(SqlVerbs(here), worker="w2")

    assert second == []
    assert finish(SqlVerbs(here), trial).accepted
    assert get_study(here, "mine").counts.complete == 1
    here.close()
    there.close()


def test_sessions_are_in_utc_and_wait_for_nothing_for_ever(postgres_url: str) -> None:
    """A statement or a lock that takes too long is given up, as an outage that a retry may end."""
    store = open_store(postgres_url, pool_size=1)
    names = ("TimeZone", "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")

    with store.read() as connection:
        settings = [connection.execute(text(f"SHOW {name}")).scalar() for name in names]
        connection.execute(text("SET statement_timeout = 20"))
    with pytest.raises(StoreUnavailable, match="statement timeout"), store.read() as connection:
        connection.execute(text("SELECT pg_sleep(60)"))

    assert settings == ["UTC", "30s", "15s", "1min"]
    store.close()


@pytest.mark.parametrize("superuser", [True, False])
def test_without_a_connection_left_the_error_says_what_to_set(superuser: bool) -> None:
    """PostgreSQL says it in two ways, to its superuser and to others; both get the same advice."""
    server = Postgres(max_connections=6, superuser_reserved_connections=3)
    try:
        with psycopg.connect(host="127.0.0.1", port=server.port, user="etude", dbname="postgres") as admin:
            admin.execute("CREATE ROLE plain LOGIN")
            admin.commit()
            user, free = ("etude", 5) if superuser else ("plain", 2)
            with ExitStack() as held:
                for _ in range(free):
                    held.enter_context(
                        psycopg.connect(host="127.0.0.1", port=server.port, user=user, dbname="postgres")
                    )

                with pytest.raises(StoreUnavailable, match=r"raise PostgreSQL's max_connections.*ETUDE_URL"):
                    open_store(server.url().replace("etude@", f"{user}@"))
    finally:
        server.remove()
