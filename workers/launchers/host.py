"""One worker process and its end: what a launcher holds for it, here or inside an actor on another machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence


class Host:
    """Starts a worker process that lives no longer than this one."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str] | None = None) -> None:
        """Start `command`, with `environ` over the environment; what it prints goes where this process prints.

        In a session of its own: Ctrl-C in a terminal is for who started it, who then ends the workers in order.
        """
        # Nobody writes to the pipe; it ends when this process does, however it ends, and the worker takes that as its
        # signal to stop (`stop_with_parent`).
        surroundings = None if environ is None else _joined(os.environ, environ)
        self._process = subprocess.Popen(list(command), env=surroundings, stdin=subprocess.PIPE, start_new_session=True)

    @property
    def pid(self) -> int:
        """Process id of the worker."""
        return self._process.pid

    def status(self) -> int | None:
        """Return the exit status, None while the process lives."""
        status = self._process.poll()
        if status is not None:
            self._close()
        return status

    def wait(self, seconds: float | None = None) -> int:
        """Wait for the end and return the exit status.

        Raises:
            subprocess.TimeoutExpired: it did not come in time.
        """
        status = self._process.wait(seconds)
        self._close()
        return status

    def ask(self) -> None:
        """Ask the worker to stop, as SIGTERM does."""
        if self._process.poll() is None:
            self._process.terminate()

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()
        self.wait()

    def _close(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()


def worker_command(flags: Sequence[str]) -> list[str]:
    """Return the command of a worker under this interpreter, bound to its parent."""
    return [sys.executable, "-m", "workers", *flags, "--with-parent"]


def _joined(here: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """Put `given` over `here`; of the paths to look for modules in, those of here come first."""
    both = {**here, **given}
    paths = [place for place in (here.get("PYTHONPATH"), given.get("PYTHONPATH")) if place]
    return both | ({"PYTHONPATH": os.pathsep.join(paths)} if paths else {})
