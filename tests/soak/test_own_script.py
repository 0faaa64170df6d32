"""The long form of tests/acceptance/test_own_script.py: more processes, and kills all the while."""

from __future__ import annotations

import time
from pathlib import Path

from tests.machine import started
from tests.own_scripts import every_trial, missing, restart, said, scripts

TRIALS, PROCESSES, KILLS, QUIET_SECONDS = 60, 8, 10, 4.0


def test_eight_processes_and_ten_kills_lose_nothing(tmp_path: Path) -> None:
    """kill -9 of the service again and again: every report is there, every process ends well."""
    with started(tmp_path, ETUDE_LEASE_SECONDS="20") as machine:
        study = machine.client.submit(
            name="own-script", task="external", trials=TRIALS, horizon={"steps": 100},
            objective={"metric": "val_loss", "direction": "minimize"},
            confirmation={"top": 2, "seeds": 3},
        )  # fmt: skip
        with scripts(machine, tmp_path, PROCESSES, "own-script", "0.02") as running:
            machine.until(lambda: len({one["process"] for one in said(tmp_path)}) == PROCESSES, 120)
            for _ in range(KILLS):
                time.sleep(QUIET_SECONDS)  # so long the service is let work between two kills
                restart(machine)
                if study.view().state == "done":
                    break
            statuses = [process.wait(400) for process in running]
        view, trials, reported = study.view(), every_trial(study), said(tmp_path)
        lost = missing(study, reported)

    words = "".join((tmp_path / f"script-{number}.err").read_text() for number in range(PROCESSES))
    assert statuses == [0] * PROCESSES, words
    assert view.state == "done"
    assert (view.counts.ended, view.counts.stopped) == (TRIALS, 0)
    assert {trial.state for trial in trials} <= {"complete", "pruned", "failed"}
    assert {trial.attempts for trial in trials} == {0}
    assert lost == []
    assert len(reported) > 5 * TRIALS
