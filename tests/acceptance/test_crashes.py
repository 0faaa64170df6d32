"""What a study survives: workers killed, workers asked to leave, and the whole machine stopped and started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from etude import Client, Study
from etude.ports import is_free
from etude.settings import PartsSettings
from search_spaces.results import TrialView
from tests.machine import ROOT, descendants, free_settings, is_alive, started, until

UNPRUNED = {"kind": "none"}
SMALL_CONFIRMATION = {"top": 1, "seeds": 2, "baselines": ["sgd-cosine"]}


def leased_by(study: Study, worker: str) -> TrialView | None:
    """The trial that the worker is at, if any."""
    return next((trial for trial in study.trials(state="leased") if trial.worker == worker), None)


def test_a_trial_of_a_killed_worker_is_finished_by_the_other(tmp_path: Path) -> None:
    """kill -9 in a trial: the lease expires, the other worker trains the same candidate, the budget stays exact."""
    with started(tmp_path, ETUDE_LEASE_SECONDS="3") as machine:
        first = machine.worker("first", ETUDE_LEASE_SECONDS="3")
        study = machine.client.submit(
            name="killed", task="digits-noisy", trials=3, horizon={"epochs": 40}, pruner=UNPRUNED,
            confirmation=SMALL_CONFIRMATION,
        )  # fmt: skip
        held = machine.until(lambda: leased_by(study, "first"))
        machine.parts.kill(first)
        machine.worker("second", ETUDE_LEASE_SECONDS="3")
        machine.until(lambda: study.view().counts.ended == 3, 180)
        trials = {trial.number: trial for trial in study.trials()}

    assert held is not None
    again = trials[held.number]
    assert (again.state, again.worker, again.candidate) == ("complete", "second", held.candidate)
    assert again.attempts == 1
    assert [trials[number].state for number in sorted(trials)] == ["complete"] * 3


@contextmanager
def etude_up(settings: PartsSettings, log: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """`etude up` as its user starts it, ready to be used."""
    environ: Mapping[str, str] = settings.environment(os.environ) | {"PYTHONUNBUFFERED": "1"}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "etude", "up", *options], cwd=ROOT, env=environ, stdout=out, stderr=subprocess.STDOUT
        )
    try:
        until(lambda: "Ctrl-C stops" in log.read_text() or process.poll() is not None, 120)
        assert process.poll() is None, log.read_text()
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.wait(60)


def test_up_goes_on_with_the_study_and_ends_with_a_part_that_died(tmp_path: Path) -> None:
    """After Ctrl-C a second start finishes the budget, nothing done twice; a part that dies ends it, and is named."""
    settings = free_settings(tmp_path / "var")
    first_log, second_log = tmp_path / "first.log", tmp_path / "second.log"
    with etude_up(settings, first_log, "--workers", "1") as process, Client(settings.url) as client:
        study = client.submit(
            name="goes-on", task="digits-noisy", trials=6, horizon={"epochs": 10}, confirmation=SMALL_CONFIRMATION
        )
        until(lambda: study.view().counts.ended >= 1, 120)
        parts = descendants(process.pid)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0

    assert not any(is_alive(pid) for pid in parts)
    assert is_free(settings.host, settings.port)
    assert "give their trials back" in first_log.read_text()

    with etude_up(settings, second_log, "--workers", "1") as process:
        with Client(settings.url) as client:
            answer = client.wait("goes-on", progress=False, timeout=120)
            trials = list(client.trials("goes-on"))
        parts = descendants(process.pid)
        os.kill(worker_among(parts), signal.SIGKILL)
        assert process.wait(60) == 1

    assert "goes on    goes-on (running" in second_log.read_text()
    assert answer.status == "final"
    assert len(trials) == 6
    assert {trial.attempts for trial in trials} == {0}
    assert "worker-1 was ended by signal 9" in second_log.read_text()
    assert not any(is_alive(pid) for pid in parts)


def worker_among(parts: Iterable[int]) -> int:
    """The process that is a worker."""
    return next(pid for pid in parts if b"workers" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"))


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells children of their parent's death on Linux only")
def test_no_part_outlives_a_killed_up(tmp_path: Path) -> None:
    """kill -9 of `etude up` leaves nothing behind, the coordinator below the service included."""
    with etude_up(free_settings(tmp_path / "var"), tmp_path / "up.log", "--workers", "1") as process:
        parts = descendants(process.pid)
        assert len(parts) == 4  # service, its coordinator, dashboard, worker
        process.kill()

        until(lambda: not any(is_alive(pid) for pid in parts))
