"""A part that lets others go first."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from service import priority

GROUPS = Path("/proc/self/autogroup")
PROGRAM = """
import os
from pathlib import Path
from service.priority import give_way
give_way()
group = Path("/proc/self/autogroup")
writable = os.access(group, os.W_OK)
print(os.nice(0), *(group.read_text().split()[-1:] if writable else []))
"""


@pytest.mark.parametrize("leads", [True, False])
def test_a_leader_lowers_its_session_too(leads: bool) -> None:
    """The process is nicer; where the kernel groups by session, so is the session, if it is the process's own."""
    shown = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, start_new_session=leads
    )
    own, *group = map(int, shown.stdout.split())

    assert own == os.nice(0) + priority.STEPS_DOWN
    if group:  # a process in no group has an empty file, as ours may; some machines have none that may be written
        assert group == ([own] if leads else _niceness_of_our_session())


def _niceness_of_our_session() -> list[int]:
    return [int(last) for last in GROUPS.read_text().split()[-1:]]
