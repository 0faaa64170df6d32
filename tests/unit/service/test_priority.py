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
print(os.nice(0), *(group.read_text().split()[-1:] if group.exists() else []))
"""


@pytest.mark.parametrize("leads", [True, False])
def test_a_leader_lowers_its_session_too(leads: bool) -> None:
    """The process is nicer; where the kernel groups by session, so is the session, if it is the process's own."""
    shown = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, start_new_session=leads
    )
    own, *group = map(int, shown.stdout.split())

    assert own == os.nice(0) + priority.STEPS_DOWN
    if group:  # where a cgroup shares out the CPU the file is empty, and elsewhere there is none
        ours = int(GROUPS.read_text().split()[-1])
        assert group == [own if leads else ours]
