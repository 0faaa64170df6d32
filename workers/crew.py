"""Several devices: one worker process each, started, watched and ended by a process that trains nothing itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Thread

import torch

from .log import Log
from .timing import Backoff, Stop

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds before a worker that has died is started again."""
STEADY_SECONDS = 60.0
"""A worker that lived so long is started again without a long pause."""
LOOK_SECONDS = 0.1


def devices_of(text: str) -> list[str]:
    """Return the devices that a flag names: `all`, `cpu`, or a list such as `cuda:0,cuda:1`.

    Raises:
        ValueError: there is no such device here.
    """
    there = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    if text == "all":
        return there or ["cpu"]
    named = [name.strip() for name in text.split(",")]
    for name in named:
        if name not in ("cpu", "cuda", *there):
            raise ValueError(f"there is no device {name!r}; there are {', '.join(['cpu', *there])}")
    if len(set(named)) < len(named):
        raise ValueError("each device takes one worker")
    return named


@dataclass
class _Member:
    """One worker process, and when it is to be started again."""

    name: str
    command: Sequence[str]
    process: subprocess.Popen[bytes]
    started_at: float
    pauses: Backoff = field(default_factory=lambda: Backoff(FIRST_PAUSE, LONGEST_PAUSE))
    start_at: float | None = None


class Crew:
    """Keeps one process for each command until it ends well, or until the crew is asked to stop."""

    def __init__(self, commands: Mapping[str, Sequence[str]], stop: Stop, log: Log) -> None:
        self._commands = commands
        self._stop = stop
        self._log = log

    def work(self) -> None:
        """Return once every worker has drained, or has been ended because the crew was asked to stop.

        A worker that dies is started again: what it held comes back to the store when its leases expire.
        """
        members = [
            _Member(name, command, _started(command), time.monotonic()) for name, command in self._commands.items()
        ]
        try:
            while not self._stop.asked and members:
                members = [member for member in members if self._is_needed(member)]
                self._stop.idle(LOOK_SECONDS)
        finally:
            self._end([member.process for member in members])

    def _is_needed(self, member: _Member) -> bool:
        """Look after a worker; tell whether there is more to look after."""
        now = time.monotonic()
        if member.start_at is not None:
            if now >= member.start_at:
                member.process, member.started_at, member.start_at = _started(member.command), now, None
            return True
        status = member.process.poll()
        if status is None:
            return True
        _close(member.process)
        if status == 0:
            return False
        if now - member.started_at > STEADY_SECONDS:
            member.pauses.reset()
        pause = member.pauses.pause()
        member.start_at = now + pause
        self._log.warning("worker_died", name=member.name, status=status, again_in_seconds=pause)
        return True

    def _end(self, processes: Sequence[subprocess.Popen[bytes]]) -> None:
        """Ask every worker to stop, and kill those that have not when the grace period is over."""
        for process in processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        self._stop.ask()
        for process in processes:
            try:
                process.wait(max(0.0, self._stop.grace_left))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            _close(process)


def _started(command: Sequence[str]) -> subprocess.Popen[bytes]:
    # A session of its own: Ctrl-C in a terminal is for the crew, which then ends the workers in order. Nobody writes
    # to the pipe; it ends when this process does, however it ends, and the worker takes that as its signal to stop.
    return subprocess.Popen(list(command), stdin=subprocess.PIPE, start_new_session=True)


def _close(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()


def command_for(name: str, device: str, flags: Sequence[str]) -> list[str]:
    """Return the command of the worker `name` on one device, under the same interpreter and bound to its parent."""
    return [sys.executable, "-m", "workers", *flags, "--name", name, "--devices", device, "--with-parent"]


def stop_with_parent(stop: Callable[[], None], descriptor: int = 0) -> None:
    """Call `stop` from the background once the parent's end of `descriptor` (standard input) is closed."""

    def watch() -> None:
        while os.read(descriptor, 4096):
            pass
        stop()

    Thread(target=watch, name="parent-watch", daemon=True).start()
