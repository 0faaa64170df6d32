"""A fortnight of nights by real processes on PostgreSQL: two clocks, one killed at a due time, a clock change in it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from service.clock import Clock
from store import Store, open_store
from store.recurrences import get
from tests.integration.service_simulation import simulated
from tests.machine import ROOT, until
from tests.nights import TEMPLATE, FakeTime, moment_of, nights, recur, study_names, train_all

pytestmark = pytest.mark.timeout(600)

FIRST_NOON = "2030-03-24T12:00:00+01:00"
DAY = 86_400
KILLED = (3, 7, 11)
"""Nights at whose due time one of the two clocks is killed."""


@contextmanager
def clock_process(url: str, file: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "tests.night_clock", "--database", url, "--time", str(file)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield process
        finally:
            process.kill()


def stand_at(file: Path, now: FakeTime, at: float) -> None:
    """Set the time of every process at once: a file is replaced whole."""
    now.at = at
    beside = file.with_suffix(".next")
    beside.write_text(str(at))
    beside.replace(file)


def test_a_fortnight_has_exactly_one_study_for_each_due_time(postgres_url: str, tmp_path: Path) -> None:
    """Three kills at due times and a night without a 02:30: fourteen studies, each concluded, none twice."""
    store = open_store(postgres_url)
    now, file = FakeTime(moment_of(FIRST_NOON)), tmp_path / "time"
    stand_at(file, now, now.at)
    recur(store, now, keep=5, template=TEMPLATE | {"budget": {"trials": 4}})
    worker = simulated(store)
    with clock_process(postgres_url, file) as staying:
        for night in range(14):
            _live_through(store, now, file, night, killed=night in KILLED)
            train_all(store, worker, Clock(store, now))
            until(lambda night=night: nights(store)[night].state == "done")  # type: ignore[misc]
        assert staying.poll() is None

    names = [f"nightly.2030{day}z" for day in _due_days()]
    assert study_names(store) == names
    assert [run.study for run in nights(store)] == names
    assert {run.verdict for run in nights(store)} == {"winner"}
    assert [run.missed for run in nights(store)] == [0] * 14
    assert get(store, "nightly").missed == 0
    until(lambda: [run.pruned for run in nights(store)] == [True] * 9 + [False] * 5, 90)
    store.close()


def _live_through(store: Store, now: FakeTime, file: Path, night: int, *, killed: bool) -> None:
    """Let a night become due while two clocks look; one of them may be killed at that moment."""
    with clock_process(store.url, file) as other:
        stand_at(file, now, moment_of(FIRST_NOON) + night * DAY + 14 * 3600 + 31 * 60)
        if killed:
            other.kill()
        until(lambda: len(nights(store)) == night + 1)


def _due_days() -> list[str]:
    """25 March to 7 April at 02:30 in Berlin; on the 31st the clock goes from 02:00 to 03:00, at 01:00 UTC."""
    before = [f"03{day}t0130" for day in range(25, 31)]
    return [*before, "0331t0100", *[f"040{day}t0030" for day in range(1, 8)]]
