"""How much of a busy CPU a part asks for."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

STEPS_DOWN = 5
"""In the scheduler's steps of niceness: about a third of the weight of the others."""
_GROUP = Path("/proc/self/autogroup")


def give_way() -> None:
    """Let others go first where the CPU is busy: what this process does is wanted later, not now.

    Where Linux takes each session as a group of its own, niceness counts only inside it; then the group is told, if
    this process leads one.
    """
    niceness = os.nice(STEPS_DOWN)
    if os.getsid(0) == os.getpid():
        with contextlib.suppress(OSError):  # no such groups here, or they may not be written
            _tell(str(min(niceness, 19)))


def _tell(niceness: str) -> None:
    """Write it; where many processes do so at once, the kernel answers all but one: again, in a tenth of a second."""
    for pause in (0.11, 0.23, 0.47):
        try:
            _GROUP.write_text(niceness)
        except BlockingIOError:
            time.sleep(pause)
        else:
            return
