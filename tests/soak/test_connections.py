"""A hundred and twenty workers at PostgreSQL's usual limit of a hundred connections."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from store import Store, open_store
from store.studies import change_state, get_study
from store.trials import get_trial
from tests.chaos import add_service, crowd, submit_simulated
from tests.dying import die_with_parent
from tests.machine import ROOT
from tests.postgres import Postgres
from workers.timing import Timing

pytestmark = pytest.mark.timeout(900)

WORKERS = 120
REPORT_SECONDS = 60.0
STEPS = 25
"""Between two reports: four reports in the 100 steps of the simulated task, so a trial takes four minutes."""


@contextmanager
def direct_workers(url: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The workers, each a process with one connection at most, with a real worker's lease, heartbeat and rest."""
    arguments = {
        "--database": url,
        "--processes": WORKERS,
        "--pause": REPORT_SECONDS,
        "--every": STEPS,
        "--heartbeat": Timing.heartbeat,
        "--lease-seconds": Timing.lease,
        "--idle": 120,
        "--name": "direct",
    }
    words = [str(word) for pair in arguments.items() for word in pair]
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.simulated", *words],
            cwd=ROOT,
            stdout=out,
            stderr=out,
            start_new_session=True,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - one system call, no Python locks
        )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class Connections:
    """Counts what PostgreSQL serves, on a connection of its own."""

    def __init__(self, url: str) -> None:
        self.most = 0
        self.samples = 0
        self._connection = create_engine(url, isolation_level="AUTOCOMMIT").connect()

    def sample(self) -> None:
        """Count now; this connection, the coordinator's and the service's are among them."""
        counted = text("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")
        self.most = max(self.most, int(self._connection.execute(counted).scalar_one()))
        self.samples += 1

    def close(self) -> None:
        self._connection.close()
        self._connection.engine.dispose()


def test_a_hundred_and_twenty_direct_workers_share_a_hundred_connections(tmp_path: Path) -> None:
    """One report a minute each: no error, no lost report, the budget to the trial, and never 100 connections."""
    server = Postgres()
    try:
        with crowd(server.url(), tmp_path) as made, direct_workers(server.url(), tmp_path / "direct.log") as workers:
            store = open_store(server.url(), pool_size=1)
            limit = Connections(server.url())
            add_service(made)
            submit_simulated(store, "minutes", WORKERS, pruner={"kind": "none"})

            watch(store, limit, workers, 600)

            assert_whole(store)
            assert limit.samples > 100
            assert 0 < limit.most < 100
            assert (tmp_path / "direct.log").read_text() == ""
            change_state(store, "minutes", "stopped")
            limit.close()
            store.close()
        sys.stdout.write(f"at most {limit.most} connections in {limit.samples} samples\n")
    finally:
        server.remove()


def watch(store: Store, limit: Connections, workers: subprocess.Popen[bytes], seconds: float) -> None:
    """Sample the connections until every trial has ended, while every worker lives."""
    give_up = time.monotonic() + seconds
    while (counts := get_study(store, "minutes").counts).ended < WORKERS:
        assert time.monotonic() < give_up, counts
        assert workers.poll() is None
        for _ in range(10):
            limit.sample()
            time.sleep(0.2)


def assert_whole(store: Store) -> None:
    """Each trial was trained by a worker of its own, at its first attempt, and every report is there."""
    trials = [get_trial(store, "minutes", number) for number in range(WORKERS)]
    steps = list(range(STEPS, 101, STEPS))
    assert get_study(store, "minutes").counts.complete == WORKERS
    assert {trial.attempts for trial in trials} == {0}
    assert len({trial.worker for trial in trials}) == WORKERS
    assert all([point.step for point in trial.curve or []] == steps for trial in trials)
    spans = [
        (trial.finished_at - trial.claimed_at).total_seconds()
        for trial in trials
        if trial.finished_at is not None and trial.claimed_at is not None
    ]
    assert min(spans) >= REPORT_SECONDS * len(steps)
