"""`--launcher ray` on a real cluster: two nodes, one of which is killed with everything on it."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from store import open_store
from tests.chaos import assert_exact
from tests.machine import started, until
from tests.ray_cluster import ray_cluster

TRIALS = 6
EPOCHS = 60
UNPRUNED = {"kind": "none"}
CONFIRMATION = {"top": 1, "seeds": 2, "baselines": ["sgd-cosine"]}


@pytest.mark.timeout(600)
def test_a_node_killed_in_the_middle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers come with the backlog, one on each node; a node dies and one comes: exact budget, no report lost,
    nobody left when there is nothing to do."""
    lease = {"ETUDE_LEASE_SECONDS": "10"}
    with ray_cluster(monkeypatch) as nodes, started(tmp_path / "data", **lease) as machine:
        first, _ = nodes.add(1), nodes.add(1)
        log = tmp_path / "fleet.log"
        environ = {"ETUDE_URL": machine.settings.url, "ETUDE_CHECKPOINTS": str(tmp_path / "checkpoints"), **lease}
        flags = ["--max-workers", "3", "--gpus-per-worker", "0", "--pack", "1", "--tasks", "digits-noisy",
                 "--idle-seconds", "5", "--drain", "5"]  # fmt: skip
        fleet = nodes.worker(log, "--name", "fleet", *flags, **environ)
        try:
            study = machine.client.submit(
                name="cluster", task="digits-noisy", trials=TRIALS, horizon={"epochs": EPOCHS}, pruner=UNPRUNED,
                confirmation=CONFIRMATION,
            )  # fmt: skip
            until(lambda: len({trial.worker for trial in study.trials(state="leased")}) == 2, 180)
            nodes.kill(first)
            killed_at = study.view().counts.ended
            nodes.add(1)
            until(lambda: study.view().state == "done", 400)
            until(lambda: fleet.poll() is not None, 120)
        finally:
            fleet.send_signal(signal.SIGTERM) if fleet.poll() is None else None
            fleet.wait(60)
        trials = list(study.trials())
        curves = [machine.client.trial("cluster", trial.number).curve or [] for trial in trials]

    said = log.read_text()
    store = open_store(machine.settings.store_url)
    assert_exact(store, "cluster", TRIALS)
    store.close()
    assert fleet.returncode == 0, said
    assert killed_at < TRIALS
    assert sorted(trial.attempts for trial in trials)[-1] == 1, said
    steps = [[point.step for point in curve] for curve in curves]
    assert all(at == steps[0] for at in steps)
    assert len(steps[0]) >= EPOCHS
    assert "actor_gone" in said
    assert said.count("worker_drained") >= 2
