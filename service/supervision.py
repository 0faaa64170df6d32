"""A part of the service as a child process: started again when it dies, gone when its parent is."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import IO

from search_spaces.log import bind

log = bind(__name__)

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
STEADY_SECONDS = 60.0
"""A child that lived so long is started again without a long pause."""
LOOP_ENDS = 3
"""A child that has ended so often without a steady life in between is in a crash loop."""
STOP_SECONDS = 15.0
"""How long a child may take to stop before it is killed; the store bears that at any moment."""


class Supervised:
    """Keeps one command running in a child process from `start` to `stop`.

    The child's standard input is a pipe that ends when this process does, however it ends, and the child takes that as
    its signal to stop (`stop_with_parent`). What is written to it means no more than that there is news (`nudge`).
    """

    def __init__(self, command: list[str], environment: Mapping[str, str]) -> None:
        self._command = command
        self._environment = dict(environment)
        self._stopping = threading.Event()
        self._child: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._ends = 0
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._keep, name="supervision", daemon=True)

    def start(self) -> None:
        """Start the child and watch it."""
        self._spawn()
        self._thread.start()

    @property
    def age_seconds(self) -> float:
        """How long the child has lived, or the one that ended last would have."""
        with self._lock:
            return time.monotonic() - self._started_at

    def trouble(self) -> str | None:
        """Say what is wrong with the child, None while it runs and has not ended again and again."""
        with self._lock:
            child, ends, age = self._child, self._ends, time.monotonic() - self._started_at
        name = self._command[-1]
        if child is None or child.poll() is not None:
            return f"the {name} is not running"
        if ends >= LOOP_ENDS and age < STEADY_SECONDS:
            return f"the {name} has ended {ends} times in a row"
        return None

    def nudge(self) -> None:
        """Tell the child that there is news; one that is down or behind finds it by itself."""
        with self._lock:
            child = self._child
            if child is not None and child.stdin is not None and not child.stdin.closed:
                with contextlib.suppress(OSError):
                    os.write(child.stdin.fileno(), b"\n")

    def stop(self) -> None:
        """End the child gracefully and wait until it is gone; after 15 s it is killed."""
        with self._lock:
            self._stopping.set()
            child = self._child
        if child is None:
            return
        self._close(child)
        try:
            child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

    def _close(self, child: subprocess.Popen[bytes]) -> None:
        with self._lock:  # `nudge` writes to it
            if child.stdin is not None:
                child.stdin.close()

    def _keep(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        child = self._child
        while child is not None:
            code = child.wait()
            self._close(child)
            if self._stopping.is_set():
                return
            steady = time.monotonic() - self._started_at > STEADY_SECONDS
            pause = FIRST_PAUSE_SECONDS if steady else min(2 * pause, LONGEST_PAUSE_SECONDS)
            with self._lock:
                self._ends = 1 if steady else self._ends + 1
            log.warning("part_ended", part=self._command[-1], status=code, again_in_seconds=pause)
            self._stopping.wait(pause)
            child = self._spawn()

    def _spawn(self) -> subprocess.Popen[bytes] | None:
        with self._lock:
            if self._stopping.is_set():
                return None
            # A session of its own: Ctrl-C in a terminal is for this process, which then ends the child in order.
            self._child = subprocess.Popen(
                self._command, env=self._environment, stdin=subprocess.PIPE, start_new_session=True
            )
            assert self._child.stdin is not None
            os.set_blocking(self._child.stdin.fileno(), False)  # a child that hangs must not hang an answer
            self._started_at = time.monotonic()
            return self._child


def command_for(part: str) -> list[str]:
    """Return the command that runs one part of the service under the same interpreter, bound to its parent."""
    return [sys.executable, "-m", "service", "--with-parent", "--only", part]


def stop_with_parent(
    stop: Callable[[], None], stream: IO[bytes] | None = None, *, hear: Callable[[], None] | None = None
) -> None:
    """Call `stop` once the parent's end of `stream` (standard input) is closed; leave after 15 s at the latest.

    Until then `hear` is called whenever the parent nudges.
    """
    source = stream or sys.stdin.buffer

    def watch() -> None:
        # Not through the buffer: the interpreter cannot end while a thread holds its lock.
        while os.read(source.fileno(), 4096):
            if hear is not None:
                hear()
        stop()
        leave_in(STOP_SECONDS)  # a part that hangs must not outlive its parent

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


def leave_in(seconds: float) -> None:
    """End this process after so long, whatever it is still doing: the store bears an end at any moment."""
    last = threading.Timer(seconds, os._exit, args=(1,))
    last.daemon = True
    last.start()
