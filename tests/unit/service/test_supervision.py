"""A part bound to its parent by standard input."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from service import supervision
from service.supervision import Supervised

ROOT = Path(__file__).parents[3]
FAILING = """
from service.supervision import stop_with_parent
stop_with_parent(lambda: None)
raise SystemExit("no such store")
"""


def test_a_part_that_fails_while_it_watches_its_parent_says_why_and_no_more() -> None:
    """It ends with its own status and words: the watch does not hold standard input against the interpreter."""
    child = subprocess.Popen(
        [sys.executable, "-c", FAILING], cwd=ROOT, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )

    status = child.wait(60)

    assert child.stdin is not None
    assert child.stderr is not None
    with child.stdin, child.stderr:
        assert (status, child.stderr.read()) == (1, "no such store\n")


def test_a_child_that_runs_is_no_trouble() -> None:
    """From the moment of its start; once stopped it is said not to run."""
    child = Supervised([sys.executable, "-c", "import sys; sys.stdin.read()"], {})
    child.start()

    running = child.trouble()
    child.stop()

    assert running is None
    assert "is not running" in (child.trouble() or "")


def test_a_child_that_keeps_ending_is_trouble_even_while_it_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The fourth life of a child that has ended three times is not taken for health."""
    monkeypatch.setattr(supervision, "FIRST_PAUSE_SECONDS", 0.001)
    lives = tmp_path / "lives"
    lives.touch()
    source = (
        f"import sys; f = open({str(lives)!r}, 'a+'); f.write('x'); f.seek(0); len(f.read()) < 4 or sys.stdin.read()"
    )
    child = Supervised([sys.executable, "-c", source], {})
    child.start()

    wait_until(lambda: "has ended 3 times" in (child.trouble() or ""))
    running = lives.read_text()
    child.stop()

    assert len(running) <= 4


HEARING = """
import pathlib, sys, threading
from service.supervision import stop_with_parent
heard, ended = threading.Event(), threading.Event()
stop_with_parent(ended.set, hear=heard.set)
pathlib.Path(sys.argv[1]).write_text("ready")
heard.wait()
pathlib.Path(sys.argv[1]).write_text("heard")
ended.wait()
"""


def test_a_nudge_reaches_the_child_and_nobody_else(tmp_path: Path) -> None:
    """What the child hears is that there is news; a child that is down is not missed."""
    told = tmp_path / "told"
    child = Supervised([sys.executable, "-c", HEARING, str(told)], {"PYTHONPATH": str(ROOT)})

    child.nudge()
    child.start()
    wait_until(lambda: told.exists() and told.read_text() == "ready")
    child.nudge()
    wait_until(lambda: told.read_text() == "heard")
    child.stop()
    child.nudge()

    assert "is not running" in (child.trouble() or "")


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait for at most 30 s."""
    give_up = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < give_up
        time.sleep(0.01)
