"""`--launcher ray` on a real cluster: two nodes, one of which is killed with everything on it."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from etude import Study
from store import open_store
from tests.chaos import assert_exact
from tests.machine import Machine, started, until
from tests.ray_cluster import Nodes, ray_cluster

TRIALS = 6
EPOCHS = 60
UNPRUNED = {"kind": "none"}
CONFIRMATION = {"top": 1, "seeds": 2, "baselines": ["sgd-cosine"]}
LEASE = {"ETUDE_LEASE_SECONDS": "10"}
FLAGS = (
    "--max-workers", "3", "--gpus-per-worker", "0", "--pack", "1", "--tasks", "digits-noisy", "--idle-seconds", "5",
    "--drain", "5",
)  # fmt: skip


@contextmanager
def fleet(nodes: Nodes, machine: Machine, name: str, place: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A fleet at work, asked to stop at the block's end if it still is."""
    environ = {"ETUDE_URL": machine.settings.url, "ETUDE_CHECKPOINTS": str(place / "checkpoints"), **LEASE}
    process = nodes.worker(place / f"{name}.log", "--name", name, *FLAGS, **environ)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(60)


def workers_at(study: Study) -> set[str]:
    """The workers that hold trials."""
    return {str(trial.worker) for trial in study.trials(state="leased")}


@pytest.mark.timeout(900)
def test_a_fleet_and_a_node_are_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fleet that is killed takes no trial with it; under the next a node dies with all on it and another comes:
    exact budget, no report lost, nobody left when there is nothing to do."""
    with ray_cluster(monkeypatch) as nodes, started(tmp_path / "data", **LEASE) as machine:
        first, _ = nodes.add(1), nodes.add(1)
        study = machine.client.submit(
            name="cluster", task="digits-noisy", trials=TRIALS, horizon={"epochs": EPOCHS}, pruner=UNPRUNED,
            confirmation=CONFIRMATION,
        )  # fmt: skip
        with fleet(nodes, machine, "killed", tmp_path) as killed:
            until(lambda: workers_at(study), 240)
            killed.kill()
            until(lambda: not workers_at(study), 60)
        given_back = sum(trial.attempts for trial in study.trials())
        with fleet(nodes, machine, "fleet", tmp_path) as process:
            until(lambda: len(workers_at(study)) == 2, 240)
            nodes.kill(first)
            ended = study.view().counts.ended
            nodes.add(1)
            until(lambda: study.view().state == "done", 400)
            until(lambda: process.poll() is not None, 120)
        trials = list(study.trials())
        curves = [machine.client.trial("cluster", trial.number).curve or [] for trial in trials]

    said = (tmp_path / "fleet.log").read_text()
    assert given_back == 0
    assert process.returncode == 0, said
    assert ended < TRIALS
    store = open_store(machine.settings.store_url)
    assert_exact(store, "cluster", TRIALS)
    store.close()
    assert max(trial.attempts for trial in trials) == 1, said
    steps = [[point.step for point in curve] for curve in curves]
    assert all(at == steps[0] for at in steps)
    assert len(steps[0]) >= EPOCHS
    assert "actor_gone" in said
    assert said.count("worker_drained") >= 2
