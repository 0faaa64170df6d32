"""What a study survives: workers killed, workers asked to leave, and the whole machine stopped and started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
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
LONG = {"epochs": 20_000}


def leased_by(study: Study, worker: str) -> TrialView | None:
    """The trial that the worker is at, if any."""
    return next((trial for trial in study.trials(state="leased") if trial.worker == worker), None)


def test_a_trial_of_a_killed_worker_is_finished_by_the_other(tmp_path: Path) -> None:
    """kill -9 in a trial: the lease expires, the other worker trains the same candidate, the budget stays exact."""
    with started(tmp_path, ETUDE_LEASE_SECONDS="3") as machine:
        first = machine.worker("first", ETUDE_LEASE_SECONDS="3")
        study = machine.client.submit(
            name="killed", task="digits-noisy", trials=3, horizon={"epochs": 60}, pruner=UNPRUNED
        )
        held = machine.until(lambda: leased_by(study, "first"))
        machine.parts.kill(first)
        machine.worker("second", ETUDE_LEASE_SECONDS="3")
        machine.until(lambda: study.view().state != "running", 180)
        trials = {trial.number: trial for trial in study.trials()}

    assert held is not None
    again = trials[held.number]
    assert (again.state, again.worker, again.candidate) == ("complete", "second", held.candidate)
    assert again.attempts == 1
    assert [trials[number].state for number in sorted(trials)] == ["complete"] * 3


def test_sigterm_gives_the_trial_back_at_once(tmp_path: Path) -> None:
    """A worker asked to stop ends with 0, and its trial can be claimed again without an attempt counted."""
    with started(tmp_path) as machine:
        first = machine.worker("first")
        study = machine.client.submit(name="asked", task="digits-noisy", trials=2, horizon=LONG, pruner=UNPRUNED)
        held = machine.until(lambda: leased_by(study, "first"))
        assert held is not None

        first.send(signal.SIGTERM)

        until(lambda: first.exit_status is not None)
        back = machine.client.trial("asked", held.number)
        assert first.exit_status == 0
        assert (back.state, back.attempts) == ("proposed", 0)


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


def test_up_stopped_by_ctrl_c_goes_on_with_the_study_when_started_again(tmp_path: Path) -> None:
    """Nothing is lost and nothing is done twice: the second start finishes the budget exactly."""
    settings = free_settings(tmp_path / "var")
    first_log, second_log = tmp_path / "first.log", tmp_path / "second.log"
    with etude_up(settings, first_log, "--workers", "1") as process, Client(settings.url) as client:
        study = client.submit(
            name="goes-on", task="digits-noisy", trials=8, horizon={"epochs": 30}, confirmation=SMALL_CONFIRMATION
        )
        until(lambda: study.view().counts.ended >= 2, 120)
        parts = descendants(process.pid)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0

    assert not any(is_alive(pid) for pid in parts)
    assert is_free(settings.host, settings.port)
    assert "give their trials back" in first_log.read_text()

    with etude_up(settings, second_log, "--workers", "1") as process, Client(settings.url) as client:
        answer = client.wait("goes-on", progress=False, timeout=120)
        trials = list(client.trials("goes-on"))

    assert "goes on    goes-on (running" in second_log.read_text()
    assert answer.status == "final"
    assert len(trials) == 8
    assert {trial.attempts for trial in trials} == {0}


def test_up_says_which_part_died_and_ends_the_others(tmp_path: Path) -> None:
    """Nothing is restarted silently: exit status 1, the part's name, and no process left."""
    log = tmp_path / "up.log"
    with etude_up(free_settings(tmp_path / "var"), log, "--workers", "1") as process:
        parts = descendants(process.pid)
        worker = next(pid for pid in parts if b"workers" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"))
        os.kill(worker, signal.SIGKILL)
        assert process.wait(60) == 1

    assert "worker-1 was ended by signal 9" in log.read_text()
    assert not any(is_alive(pid) for pid in parts)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells children of their parent's death on Linux only")
def test_no_part_outlives_a_killed_up(tmp_path: Path) -> None:
    """kill -9 of `etude up` leaves nothing behind, the coordinator below the service included."""
    with etude_up(free_settings(tmp_path / "var"), tmp_path / "up.log", "--workers", "1") as process:
        parts = descendants(process.pid)
        assert len(parts) == 4  # service, its coordinator, dashboard, worker
        process.kill()

        until(lambda: not any(is_alive(pid) for pid in parts))
