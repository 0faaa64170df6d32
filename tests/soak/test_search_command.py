"""`etude search`, interrupted within its search: the same command goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.machine import ROOT
from tests.scripts import FAST, until
from tests.search_command import left_running, started


def test_the_command_goes_on_to_the_answer(tmp_path: Path) -> None:
    """Interrupted, its script ends with it; called again it goes on, and its budget is exact. 0 is a winner."""
    directory = tmp_path
    arguments = ("--name", "mine", "--trials", "8", "--json")
    with started(directory, *arguments) as first:
        assert first.stderr is not None
        for line in first.stderr:
            if line.startswith("searching"):
                break
        (directory / "hold").touch()
        until(lambda: bool(list(directory.glob("*.pid"))), seconds=120)
        first.send_signal(signal.SIGINT)
        first.communicate(timeout=60)
        interrupted = first.returncode
    assert interrupted == 130
    assert left_running(directory) == []
    (directory / "hold").unlink()
    with started(directory, *arguments) as second:
        out, errors = second.communicate(timeout=200)

    answer = json.loads(out)
    assert "going on with mine" in errors
    assert second.returncode == 0, errors
    assert (answer["verdict"], answer["status"]) == ("winner", "final")
    counts = answer["evidence"]["trials"]
    assert sum(counts[state] for state in ("complete", "pruned", "failed", "stopped")) == 8
    assert {arm["name"] for arm in answer["evidence"]["arms"] if arm["role"] == "baseline"} == {"current"}
    assert left_running(directory) == []
    assert "etude train mine -- " in errors
    assert _trained_with_it(directory, "--seed", "5").startswith("step=10 val_loss=")


def _trained_with_it(directory: Path, *flags: str) -> str:
    command = [sys.executable, "-m", "etude", "train", "mine", "--", *FAST, "train.py", *flags]
    environ = {key: value for key, value in os.environ.items() if not key.startswith("ETUDE_")}
    trained = subprocess.run(
        command, cwd=directory, env=environ | {"PYTHONPATH": str(ROOT)}, text=True, check=True, capture_output=True
    )
    return trained.stdout
