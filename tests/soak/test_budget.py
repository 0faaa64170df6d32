"""The store's promises in their full form: many processes, long kills, restarts of the database, readers throughout."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from store import open_store
from tests.acceptance.test_chaos import add_foreign
from tests.chaos import (
    add_service,
    add_workers,
    assert_every_report,
    assert_exact,
    crowd,
    run_through,
    submit_simulated,
    wait_for_ended,
)
from tests.postgres import Postgres
from tests.readers import reading

pytestmark = pytest.mark.timeout(900)


@contextmanager
def strangers(url: str, name: str, count: int) -> Iterator[None]:
    """Two stock users who each add so many trials to a study once it exists."""
    threads = [threading.Thread(target=add_foreign, args=(url, name, count)) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for thread in threads:
            thread.join()


def test_thirty_two_workers_and_five_hundred_trials_on_postgresql(postgres_url: str, tmp_path: Path) -> None:
    """Half of the workers over SQL, half over HTTP, a kill -9 every second, two stock users: exactly 500."""
    with crowd(postgres_url, tmp_path) as made, reading(postgres_url, tmp_path) as readers:
        store = open_store(postgres_url)
        address = add_service(made)
        add_service(made)
        add_workers(made, 16, pause=0.1, idle=600)
        add_workers(made, 16, http=address, pause=0.1, idle=600)
        submit_simulated(store, "five-hundred", 500)

        with strangers(postgres_url, "five-hundred", 20):
            run_through(made, store, "five-hundred", 800)

        assert_exact(store, "five-hundred", 500, foreign=40)
        readers.see_all("five-hundred", 540)
        readers.assert_right()
        assert made.kills >= 20
        store.close()


def test_eight_workers_on_sqlite(sqlite_url: str, tmp_path: Path) -> None:
    """The embedded store under the same kills, with two stock users: exactly 500."""
    with crowd(sqlite_url, tmp_path) as made, reading(sqlite_url, tmp_path) as readers:
        store = open_store(sqlite_url)
        add_service(made)
        add_workers(made, 8, pause=0.02, idle=600)
        submit_simulated(store, "embedded", 500)

        with strangers(sqlite_url, "embedded", 20):
            run_through(made, store, "embedded", 800)

        assert_exact(store, "embedded", 500, foreign=40)
        readers.see_all("embedded", 540)
        readers.assert_right()
        assert made.kills >= 20
        store.close()


# SQLAlchemy leaves a connection open that dies during its first questions (`Dialect.initialize`), and a stock reader
# opens one for each poll.
@pytest.mark.filterwarnings("ignore:.*psycopg.Connection.* was deleted while still open:ResourceWarning")
def test_postgresql_stopped_three_times(tmp_path: Path) -> None:
    """Three immediate stops in the middle of a study: nobody dies, nothing acknowledged is lost, readers recover."""
    server = Postgres()
    try:
        with crowd(server.url(), tmp_path) as made, reading(server.url(), tmp_path) as readers:
            store = open_store(server.url())
            address = add_service(made)
            add_workers(made, 4, pause=0.1, idle=600)
            add_workers(made, 4, http=address, pause=0.1, idle=600)
            submit_simulated(store, "outages", 150, pruner={"kind": "none"})
            for ended in (20, 60, 100):
                assert wait_for_ended(store, "outages", ended, 200).counts.ended < 150
                with readers.outage():
                    server.stop("immediate")
                    server.start()

            run_through(made, store, "outages", 400, kill_every=None)

            assert_exact(store, "outages", 150)
            assert_every_report(store, "outages", 150)
            readers.see_all("outages", 150)
            readers.assert_right()
            assert made.died() == []
            store.close()
    finally:
        server.remove()


def test_two_apis_and_three_coordinators(postgres_url: str, tmp_path: Path) -> None:
    """Any number of APIs and coordinators on one store: one owner a study, the same result."""
    with crowd(postgres_url, tmp_path) as made, reading(postgres_url, tmp_path) as readers:
        store = open_store(postgres_url)
        address = add_service(made, "--only", "api")
        add_service(made, "--only", "api")
        for _ in range(3):
            made.add("service", "--only", "coordinator")
        add_workers(made, 6, http=address, idle=600)
        for name in ("one", "two", "three"):
            submit_simulated(store, name, 60)

        for name in ("one", "two", "three"):
            run_through(made, store, name, 400)

        for name in ("one", "two", "three"):
            assert_exact(store, name, 60)
            readers.see_all(name, 60)
        readers.assert_right()
        store.close()
