"""`etude search`: one command from an unchanged script to the answer, and nothing left running."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.scripts import until
from tests.search_command import left_running, started


def test_the_command_leads_to_the_answer(tmp_path: Path) -> None:
    """Its budget is exact, its only opponent what the script does by itself, and exit status 0 a winner."""
    with started(tmp_path, "--name", "mine", "--trials", "8", "--study", "study.yaml", "--json") as search:
        out, errors = search.communicate(timeout=200)

    assert search.returncode == 0, errors
    answer = json.loads(out)
    evidence = answer["evidence"]
    assert (answer["verdict"], answer["status"]) == ("winner", "final")
    assert sum(evidence["trials"][state] for state in ("complete", "pruned", "failed", "stopped")) == 8
    assert {arm["name"] for arm in evidence["arms"] if arm["role"] == "baseline"} == {"current"}
    assert not evidence["ladder"]
    assert any("what the script does by itself can be changed as a whole only" in note for note in evidence["notes"])
    assert left_running(tmp_path) == []


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_an_end_during_the_look_leaves_nothing(tmp_path: Path, number: signal.Signals, status: int) -> None:
    """Ctrl-C or kill -9 while the script is looked at: the look and the script end, too."""
    (tmp_path / "hold").touch()
    with started(tmp_path) as search:
        until(lambda: bool(list(tmp_path.glob("*.pid"))), seconds=120)
        search.send_signal(number)
        until(lambda: left_running(tmp_path) == [], seconds=60)
        search.communicate(timeout=60)

    assert search.returncode == status
