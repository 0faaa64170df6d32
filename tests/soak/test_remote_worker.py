"""A study whose only worker speaks HTTP; tests/acceptance/test_main_way.py has one beside a worker with the store."""

from __future__ import annotations

from pathlib import Path

from tests.machine import started


def test_workers_over_http_finish_a_study(tmp_path: Path) -> None:
    """A worker with ETUDE_URL alone needs no database: the one it would find is not there."""
    with started(tmp_path) as machine:
        nowhere = f"sqlite:///{tmp_path / 'no' / 'such' / 'directory' / 'store.db'}"
        machine.worker("remote", ETUDE_URL=machine.settings.url, ETUDE_DATABASE_URL=nowhere)
        study = machine.client.submit(
            name="remote", task="digits-noisy", trials=10, horizon={"epochs": 5}, confirmation={"seeds": 2}
        )
        answer = study.wait(progress=False, timeout=120)
        counts = study.view().counts
        workers = {trial.worker for trial in study.trials()}

    assert answer.status == "final"
    assert counts.complete + counts.pruned + counts.failed == 10
    assert workers == {"remote"}
