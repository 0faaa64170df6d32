"""One part as a process: its module, its log, and how it ends."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

TAIL_LINES = 15
PR_SET_PDEATHSIG = 1


@dataclass
class Part:
    """One process: a module of the checkout, its log, and how it is doing."""

    name: str
    arguments: Sequence[str]
    """What follows `python -m`."""
    log: Path
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    _log_start: int = 0

    def start(self, root: Path, environ: Mapping[str, str]) -> None:
        """Start the process in `root`; what it prints goes to its log, behind what was there."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            self.process = subprocess.Popen(
                [sys.executable, "-m", *self.arguments],
                cwd=root,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=end_with_parent(),  # noqa: PLW1509 - only two system calls, no Python locks
            )

    @property
    def pid(self) -> int:
        """Process id, which is also the id of its group."""
        assert self.process is not None, f"{self.name} is not started"
        return self.process.pid

    @property
    def exit_status(self) -> int | None:
        """How the process has ended; None while it lives."""
        assert self.process is not None, f"{self.name} is not started"
        return self.process.poll()

    def tail(self) -> str:
        """Return the last lines that this process has logged."""
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return "\n".join(log.read().decode(errors="replace").splitlines()[-TAIL_LINES:])

    def send(self, number: signal.Signals) -> None:
        """Signal the process alone: it looks after its own children."""
        if self.exit_status is None:
            os.kill(self.pid, number)

    def end_group(self) -> None:
        """Kill whatever is left of the process and its children."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            return  # nobody is left; on macOS a group of zombies answers with EPERM


def end_with_parent() -> Callable[[], None] | None:
    """Return what a child does first: ask Linux for SIGTERM when this process dies, however it dies."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def ask() -> None:
        prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)

    return ask
