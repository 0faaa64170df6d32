"""One script as processes: started under a supervisor, ended with everything that it started."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

SUPERVISOR = Path(__file__).with_name("supervisor.py")
OUTSIDE = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
"""Signals by which somebody else ends a process; the others are a script's own crash."""
SHELL_SIGNAL = 128
"""What a shell adds to the number of the signal that ended its command."""
KILL_SECONDS = 2.0
"""What SIGKILL may take."""


class ScriptProcess:
    """A command in processes of its own; its output, stdout and stderr together, is read from `output`."""

    def __init__(
        self, command: Sequence[str], *, directory: Path, environ: Mapping[str, str], grace_seconds: float
    ) -> None:
        """Start the command.

        Raises:
            OSError: the directory is not there, or no process can be started. A command that is not there shows as
                `error`.
        """
        reader, writer = os.pipe()
        try:
            self._supervisor = subprocess.Popen(
                [sys.executable, "-I", "-S", str(SUPERVISOR), str(grace_seconds), str(writer), *command],
                cwd=directory, env=dict(environ), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, pass_fds=(writer,), start_new_session=True,
            )  # fmt: skip
        except BaseException:
            os.close(reader)
            raise
        finally:
            os.close(writer)
        os.set_blocking(reader, False)
        self._told = reader
        self._unread = b""
        self._closed = False
        self.grace_seconds = grace_seconds
        self.asked_at: float | None = None
        """When its end was asked for, on the monotonic clock."""
        self.pid: int | None = None
        """Of the script itself, and of its process group."""
        self.status: int | None = None
        """How the script has ended: its exit status, or minus the signal; None while it lives."""
        self.error: str | None = None
        """Why it could not be started."""

    @property
    def output(self) -> IO[bytes]:
        """What the script prints, until nobody is left who could."""
        assert self._supervisor.stdout is not None
        return self._supervisor.stdout

    @property
    def gone(self) -> bool:
        """Whether nothing of it is left running."""
        over = self._supervisor.poll() is not None
        self._listen()
        return over

    @property
    def was_killed(self) -> bool:
        """Whether somebody else has ended it by a signal, or its supervisor."""
        if self.error is not None or self.asked_at is not None:
            return False
        if self.status is None:
            return self.gone
        return killed_from_outside(self.status)

    def end(self) -> None:
        """Ask for the end: SIGTERM to the process group, SIGKILL to all of it after the grace; returns at once."""
        if self.asked_at is None:
            self.asked_at = time.monotonic()
            self._let_go()

    def kill(self) -> None:
        """End what is left without further grace, and wait until it is gone."""
        self.end()
        if not self._gone_within(0.0):
            self._listen()
            if self.pid is not None:
                _kill_group(self.pid)
            if not self._gone_within(KILL_SECONDS):
                _kill_group(self._supervisor.pid)
                self._supervisor.wait()

    def close(self) -> None:
        """Let go of pipes; whatever lives is killed before."""
        if self._closed:
            return
        self._closed = True
        if not self.gone:
            self.kill()
        elif self.status is None and self.pid is not None:
            _kill_group(self.pid)  # the supervisor was killed, and could end nothing
        self._let_go()
        self.output.close()
        os.close(self._told)

    def _gone_within(self, seconds: float) -> bool:
        try:
            self._supervisor.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _let_go(self) -> None:
        if self._supervisor.stdin is not None:
            self._supervisor.stdin.close()

    def _listen(self) -> None:
        """Take in what the supervisor has told."""
        if self._closed:
            return
        try:
            while read := os.read(self._told, 4096):
                self._unread += read
        except BlockingIOError:
            pass  # it has told nothing more yet; we look again
        *lines, self._unread = self._unread.split(b"\n")
        for line in lines:
            told = json.loads(line)
            self.pid = told.get("pid", self.pid)
            self.status = told.get("status", self.status)
            self.error = told.get("error", self.error)


def killed_from_outside(status: int) -> bool:
    """Tell whether an exit status means that somebody else has ended the process by a signal.

    >>> killed_from_outside(-9), killed_from_outside(143), killed_from_outside(-11), killed_from_outside(1)
    (True, True, False, False)
    """
    number = -status if status < 0 else status - SHELL_SIGNAL
    return number in OUTSIDE


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return
