"""Databases without room: no connection left, no byte left, no right to write. A clear word, and work goes on."""

from __future__ import annotations

import ctypes
import os
import resource
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest

from store import Store, open_store
from store.studies import get_study
from store.workers import list_workers
from tests.chaos import add_service, add_workers, assert_exact, crowd, run_through, submit_simulated, wait_until
from tests.dying import die_with_parent
from tests.postgres import Postgres

CONNECTIONS = 8
PR_CAPBSET_DROP, CAP_DAC_OVERRIDE = 24, 1


@contextmanager
def no_connection_left(server: Postgres) -> Iterator[None]:
    """Hold every connection that the server has."""
    with ExitStack() as held:
        for _ in range(CONNECTIONS):
            held.enter_context(connect(server))
        with pytest.raises(psycopg.OperationalError, match="too many clients"):
            connect(server)
        yield


def connect(server: Postgres) -> psycopg.Connection[tuple[object, ...]]:
    """Connect as any client does."""
    return psycopg.connect(host="127.0.0.1", port=server.port, user="etude", dbname="postgres")


def test_a_worker_says_that_postgresql_is_out_of_connections(tmp_path: Path) -> None:
    """It says so with what to set, waits, and works as soon as there is a connection."""
    server = Postgres(max_connections=CONNECTIONS, superuser_reserved_connections=0)
    try:
        with crowd(server.url(), tmp_path) as made:
            log = tmp_path / "0.log"
            with no_connection_left(server):
                made.add("workers", "--name", "patient", "--tasks", "digits-noisy")
                wait_until(lambda: "too many clients" in log.read_text(), 60)
                assert (
                    "raise PostgreSQL's max_connections, or let workers use the service (ETUDE_URL)" in log.read_text()
                )
            store = open_store(server.url(), pool_size=1)
            wait_until(lambda: [worker.worker for worker in list_workers(store)] == ["patient"], 60)
            assert made.died() == []
            store.close()
    finally:
        server.remove()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the files of a process that runs")
def test_workers_whose_disk_is_full_wait_for_room(sqlite_url: str, tmp_path: Path) -> None:
    """No process can write to the store: nothing is corrupted, nobody dies, and with room the budget is exact."""
    with crowd(sqlite_url, tmp_path) as made:
        store = open_store(sqlite_url)
        add_service(made, "--only", "api")
        made.add("service", "--only", "coordinator")
        add_workers(made, 2, pause=0.02)
        submit_simulated(store, "cramped", 10, pruner={"kind": "none"})
        wait_until(lambda: get_study(store, "cramped").counts.ended >= 3, 60)

        with no_room(process.pid for process in made.processes):
            wait_until(lambda: "I/O error" in (tmp_path / "1.log").read_text(), 30)
            held = get_study(store, "cramped").counts
            assert whole(store)
        assert held.ended < 10
        run_through(made, store, "cramped", 90, kill_every=None)

        assert_exact(store, "cramped", 10)
        assert whole(store)
        assert made.died() == []
        store.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux takes from root the right to write to any file")
def test_processes_whose_file_is_read_only_wait_for_permission(sqlite_url: str, tmp_path: Path) -> None:
    """They say what is wrong, write nothing, live on, and with permission the budget is exact."""
    with crowd(sqlite_url, tmp_path) as made:
        made.at_birth = obey_permissions
        store = open_store(sqlite_url)
        submit_simulated(store, "sealed", 5, pruner={"kind": "none"})
        file = Path(str(store.engine.url.database))

        file.chmod(0o444)
        made.add("service", "--only", "coordinator")
        add_workers(made, 1)
        wait_until(lambda: "readonly database; nothing was written, and" in (tmp_path / "0.log").read_text(), 30)
        state = get_study(store, "sealed").state
        assert whole(store)
        file.chmod(0o644)
        run_through(made, store, "sealed", 90, kill_every=None)

        assert state == "queued"
        assert_exact(store, "sealed", 5)
        assert whole(store)
        assert made.died() == []
        store.close()


def obey_permissions() -> None:
    """Let a process that is to be a program have no right to pass over the permissions of files, as root has it."""
    die_with_parent()
    if os.geteuid() == 0:
        assert ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0) == 0


@contextmanager
def no_room(processes: Iterator[int]) -> Iterator[None]:
    """Let processes write to no file beyond its first bytes, as if the disk had ended there."""
    before = {pid: resource.prlimit(pid, resource.RLIMIT_FSIZE) for pid in processes}
    for pid, (_, most) in before.items():
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, most))
    try:
        yield
    finally:
        for pid, limits in before.items():
            resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)


def whole(store: Store) -> bool:
    """Tell whether SQLite finds its file undamaged."""
    connection = sqlite3.connect(str(store.engine.url.database))
    try:
        return bool(connection.execute("PRAGMA integrity_check").fetchone() == ("ok",))
    finally:
        connection.close()
