"""A part bound to its parent by standard input."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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
