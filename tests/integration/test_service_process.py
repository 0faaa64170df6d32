"""`python -m service` as a process: ready line, supervised coordinator, and an end on every kind of signal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from sqlalchemy import Row, Table, select

from store import open_store
from store.tables import coordinators, studies
from tests.machine import until
from tests.studies import run_study

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def staying(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    """The whole service on a free port and an empty SQLite store, which no test ends."""
    with running(tmp_path_factory.mktemp("staying")) as started:
        yield started


@contextmanager
def running(place: Path) -> Iterator[subprocess.Popen[str]]:
    started = start(place)
    try:
        yield started
    finally:
        started.kill()
        started.wait()
        assert started.stdout is not None
        started.stdout.close()


def start(tmp_path: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ETUDE_")}
    environment |= {"ETUDE_DATA_DIR": str(tmp_path), "ETUDE_PORT": "0", "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "service", *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def address(service: subprocess.Popen[str]) -> str:
    """Wait for the line that says where it listens."""
    assert service.stdout is not None
    line = service.stdout.readline()
    return next(word for word in line.split() if word.startswith("http://"))


def child_of(service: subprocess.Popen[str], unlike: int | None = None) -> psutil.Process:
    """Wait for the coordinator, other than the one that is gone."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        children = [child for child in psutil.Process(service.pid).children() if child.pid != unlike]
        if children:
            return children[0]
        threading.Event().wait(0.05)
    raise AssertionError("no coordinator was started")


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 0), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_the_service_starts_answers_and_ends(tmp_path: Path, number: signal.Signals, status: int) -> None:
    """One line with the address when ready; SIGTERM and SIGINT end it with 0; its coordinator outlives no end of it."""
    with running(tmp_path) as service:
        url = address(service)
        ready = httpx.get(f"{url}/readyz", trust_env=False)
        coordinator = child_of(service)

        service.send_signal(number)

        assert ready.status_code == 200
        assert service.wait(30) == status
        psutil.wait_procs([coordinator], timeout=30 if number == signal.SIGKILL else 0)
        assert not coordinator.is_running() or coordinator.status() == psutil.STATUS_ZOMBIE


def test_a_taken_port_is_said_in_plain_words(staying: subprocess.Popen[str], tmp_path: Path) -> None:
    """Exit 1 with the address and the variable to set."""
    port = address(staying).rsplit(":", maxsplit=1)[1]

    second = subprocess.run(
        [sys.executable, "-m", "service", "--only", "api", "--port", port],
        cwd=ROOT,
        env=os.environ | {"ETUDE_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert second.returncode == 1
    assert f"127.0.0.1:{port}" in second.stderr
    assert "ETUDE_PORT" in second.stderr


def test_a_coordinator_that_dies_is_started_again(staying: subprocess.Popen[str]) -> None:
    """kill -9 of the child: another one takes its place."""
    first = child_of(staying)

    first.kill()

    assert child_of(staying, unlike=first.pid).is_running()


def test_the_dashboard_is_a_process_of_its_own(tmp_path: Path) -> None:
    """`--only dashboard` serves the page read-only on its own port and ends on SIGTERM."""
    dashboard = start(tmp_path, "--only", "dashboard", "--dashboard-port", "0")
    url = address(dashboard)

    page = httpx.get(url, trust_env=False)
    posted = httpx.post(url, trust_env=False)
    dashboard.terminate()

    assert (page.status_code, posted.status_code) == (200, 405)
    assert dashboard.wait(30) == 0
    assert dashboard.stdout is not None
    dashboard.stdout.close()


def test_a_coordinator_that_is_told_to_stop_gives_its_studies_up(tmp_path: Path) -> None:
    """SIGTERM: another one need not wait for its ownership to end, and it is not taken for one that has died."""
    store = open_store(f"sqlite:///{tmp_path / 'etude.db'}")
    run_study(store)
    coordinator = start(tmp_path, "--only", "coordinator")

    def rows(table: Table) -> list[Row[Any]]:
        with store.read() as connection:
            return list(connection.execute(select(table)).all())

    until(lambda: rows(studies)[0].owner is not None and rows(coordinators), 60)
    coordinator.terminate()
    status = coordinator.wait(30)
    owner, left = rows(studies)[0].owner, rows(coordinators)
    store.close()
    assert coordinator.stdout is not None
    coordinator.stdout.close()

    assert (status, owner, left) == (0, None, [])
