"""`etude search`, interrupted within its search: the same command goes on."""

from __future__ import annotations

import json
import signal
from pathlib import Path

from tests.scripts import until
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
