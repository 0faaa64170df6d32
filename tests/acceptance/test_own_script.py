"""A script that knows nothing of Étude's insides is searched by two processes while the service is killed."""

from __future__ import annotations

from pathlib import Path

from tests.machine import started
from tests.own_scripts import every_trial, missing, restart, said, scripts

TRIALS, PROCESSES = 5, 2


def test_two_processes_and_a_kill_lose_nothing(tmp_path: Path) -> None:
    """The budget is exact, every report is there, no attempt was lost, and every process ends well."""
    with started(tmp_path) as machine:
        study = machine.client.submit(
            name="own-script", task="external", trials=TRIALS, horizon={"steps": 100},
            objective={"metric": "val_loss", "direction": "minimize"},
            space={"optimizers": ["sgd", "adamw"]},
            confirmation={"top": 1, "seeds": 2, "baselines": ["sgd-cosine"]},
        )  # fmt: skip
        with scripts(machine, tmp_path, PROCESSES, "own-script", "0.01") as running:
            machine.until(lambda: len({one["process"] for one in said(tmp_path)}) == PROCESSES)
            restart(machine)
            statuses = [process.wait(60) for process in running]
        view, trials, reported = study.view(), every_trial(study), said(tmp_path)
        lost = missing(study, reported)

    words = "".join((tmp_path / f"script-{number}.err").read_text() for number in range(PROCESSES))
    assert statuses == [0] * PROCESSES, words
    assert view.state == "done"
    assert (view.counts.ended, view.counts.failed, view.counts.stopped) == (TRIALS, 0, 0)
    assert {trial.state for trial in trials} <= {"complete", "pruned"}
    assert {trial.attempts for trial in trials} == {0}
    assert lost == []
    assert "the service is away" in words
    assert len({trial.worker for trial in trials}) == PROCESSES
