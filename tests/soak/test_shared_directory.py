"""An array of machines that share a directory: heads lost, ended in order and frozen while real workers train."""

from __future__ import annotations

import os
import signal
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from etude import Client
from store import open_store
from store.copies import put_copy
from store.trials import get_trial
from tests.chaos import assert_every_report, assert_exact
from tests.machine import descendants, until
from tests.shared_machines import TAKEOVER_SECONDS, Machines, machines, simulated_worker

REAL = {
    "task": "digits-noisy", "trials": 12, "horizon": {"epochs": 60},
    # Rungs, at which trials are saved, and nothing to compare them with.
    "pruner": {"kind": "median", "rungs": [0.1, 0.3, 0.5, 0.7], "fidelity": "truncated", "startup_trials": 1000},
    "confirmation": {"top": 1, "seeds": 2, "baselines": ["sgd-cosine"]},
}  # fmt: skip
SIMULATED = {
    "task": "simulated", "trials": 30, "sampler": {"kind": "random"}, "pruner": {"kind": "none"},
    "confirmation": {"top": 1, "seeds": 2, "baselines": ["sgd-cosine"]},
}  # fmt: skip
FLAGS = ("--tasks", "digits-noisy", "--pack", "1")


def head_task(array: Machines, generation: int) -> int:
    """The task that serves as the head of a generation."""
    [number] = [
        number for number in range(len(array.tasks)) if f"generation {generation})" in array.log(number).read_text()
    ]
    return number


def left(array: Machines, place: Path) -> str:
    """The store that the last head has left, put on this machine's disk."""
    url = f"sqlite:///{place / 'left.db'}"
    put_copy(max(array.shared.copies.glob("[0-9]*.db")), url)
    return url


def ended(client: Client, name: str) -> int:
    """Trials of the search that have ended."""
    return client.study(name).view().counts.ended


def saved_trials(client: Client, worker: str, since: datetime) -> list[int]:
    """Numbers of the trials that a worker has claimed since then, that are saved, and that have a rung before them.

    At most one verb of its is under way to the head that gave it the trial, and that is no finish.
    """
    leased = client.trials("array", state="leased", purpose="search")
    return [
        trial.number for trial in leased
        if trial.worker == worker and trial.claimed_at is not None and trial.claimed_at >= since
        and trial.resume_step > 0 and trial.steps_done < 0.7 * (trial.horizon_steps or 0)
    ]  # fmt: skip


def freeze_in_training(array: Machines, number: int, client: Client, since: datetime) -> tuple[int, int]:
    """Freeze the worker of a task in the middle of a trial that is saved; return its process and the trial's number.

    `since` the head is there: while there was none, the worker may have come to a trial's end and not have said so.
    """
    name, process = array.worker(number)
    caught: list[int] = []

    def frozen() -> bool:
        if not saved_trials(client, name, since):
            return False
        os.kill(process, signal.SIGSTOP)
        caught[:] = saved_trials(client, name, since)
        if not caught:  # it has just ended: in the next one, then
            os.kill(process, signal.SIGCONT)
        return bool(caught)

    until(frozen, 300)
    return process, caught[0]


def asked_to_end(process: int) -> bool:
    """Whether a SIGTERM waits for a frozen process."""
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines())
    return bool(int(status["ShdPnd"], 16) >> (signal.SIGTERM - 1) & 1)


def in_copy(array: Machines, condition: str) -> set[int]:
    """Numbers of the search's trials of which this is true in the latest copy of the store."""
    with closing(sqlite3.connect(max(array.shared.copies.glob("[0-9]*.db")))) as copy:
        rows = copy.execute(f"SELECT number FROM etude_proposals WHERE purpose = 'search' AND {condition}").fetchall()
    return {number for (number,) in rows}


@pytest.mark.timeout(900)
def test_an_array_goes_on_to_the_end(tmp_path: Path) -> None:
    """Three nodes train; the head's is lost, the next head's reaches its time limit and gives its trial back with its
    checkpoint, another comes: exact, every evaluation of every trial reported, and all end when nothing is left."""
    environ = {"ETUDE_LEASE_SECONDS": "10", "ETUDE_END_AFTER_SECONDS": "20", "ETUDE_CHECKPOINT_SECONDS": "0"}
    with machines(tmp_path, **environ) as array:
        for _ in range(3):
            array.start(*FLAGS)
        with array.serving(1, 240) as client:
            since = datetime.now(UTC)
            client.submit(name="array", **REAL)
            until(lambda: ended(client, "array") >= 2, 300)
            first = head_task(array, 1)
            _, lost = freeze_in_training(array, first, client, since)
            until(lambda: lost in in_copy(array, "resume_step > 0"))
            array.kill_node(first)
        with array.serving(2, 240) as client:
            since = datetime.now(UTC)
            limited = head_task(array, 2)
            process, given_back = freeze_in_training(array, limited, client, since)
            array.tasks[limited].send_signal(signal.SIGTERM)
            until(lambda: asked_to_end(process))
            os.kill(process, signal.SIGCONT)
            until(lambda: array.tasks[limited].poll() is not None, 110)
        array.start(*FLAGS)
        with array.serving(3, 240) as client:
            until(lambda: client.study("array").view().state == "done", 400)
        until(lambda: all(task.poll() is not None for task in array.tasks), 180)
        logs = [array.log(number).read_text() for number in range(4)]

    assert array.tasks[limited].returncode == 0, logs[limited]
    assert [task.returncode for task in array.tasks].count(0) == 3
    assert sum("drained" in log for log in logs) == 2
    assert in_copy(array, "resumed_step > 0") >= {lost, given_back}
    store = open_store(left(array, tmp_path))
    assert_exact(store, "array", 12)
    steps = [[point.step for point in get_trial(store, "array", number).curve or []] for number in range(12)]
    store.close()
    assert all(at == steps[0] for at in steps)


@pytest.mark.timeout(600)
def test_a_frozen_head_serves_no_more_when_it_wakes(tmp_path: Path) -> None:
    """Frozen for longer than others wait, then woken: another has taken over, it steps back, and nothing is double."""
    with machines(tmp_path, ETUDE_WORKERS="0") as array:
        array.start()
        with array.serving(1, 120) as client, simulated_worker(array.shared, "w", pause=0.1):
            until(lambda: any(client.workers()), 60)
            client.submit(name="frozen", **SIMULATED)
            until(lambda: ended(client, "frozen") >= 4, 120)
            array.start()
            until(lambda: "head  " in array.log(1).read_text(), 120)
            frozen = [array.tasks[0].pid, *descendants(array.tasks[0].pid)]
            for pid in frozen:
                os.kill(pid, signal.SIGSTOP)
            with array.serving(2, 60 + TAKEOVER_SECONDS) as after:
                for pid in frozen:
                    os.kill(pid, signal.SIGCONT)
                until(lambda: "stops serving" in array.log(0).read_text(), 60)
                until(lambda: after.study("frozen").view().state == "done", 240)
                second = array.tasks[1]
                second.send_signal(signal.SIGTERM)
                until(lambda: second.poll() is not None, 90)
        assert second.returncode == 0, array.log(1).read_text()
        assert array.shared.head() is not None
        array.kill_node(0)
    store = open_store(left(array, tmp_path))
    assert_exact(store, "frozen", 30)
    assert_every_report(store, "frozen", 30)
    store.close()


@pytest.mark.timeout(600)
def test_the_same_machine_goes_on_from_its_own_disk(tmp_path: Path) -> None:
    """kill -9 of a head's processes, its disk left: the next on that machine takes the store itself, not a copy."""
    with machines(tmp_path, ETUDE_WORKERS="0", SLURM_TMPDIR=str(tmp_path / "node")) as array:
        task = array.start()
        with array.serving(1, 120) as client:
            client.submit(name="kept", **SIMULATED)
        for pid in [*descendants(task.pid), task.pid]:
            os.kill(pid, signal.SIGKILL)
        task.wait()
        for copy in array.shared.copies.glob("[0-9]*.db"):
            copy.write_bytes(b"not what is gone on from")
        array.start()
        with array.serving(2, 120) as client:
            names = [view.name for view in client.list()]
        array.tasks[1].send_signal(signal.SIGTERM)
        until(lambda: array.tasks[1].poll() is not None, 90)

    assert names == ["kept"]
