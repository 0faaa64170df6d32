"""The processes of one side, and the CPU time of all that they have started."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}
GRACE_SECONDS = 20
CPU_SECONDS = 0.5
"""Between two looks at the CPU time of processes."""


class SideFailed(RuntimeError):
    """A process has ended before its time; the text holds the end of its log."""


class Process:
    """`python -m arguments...` with a log of its own."""

    def __init__(self, log: Path, *arguments: str) -> None:
        self._log = log
        self._arguments = arguments
        with log.open("wb") as written:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *arguments], cwd=ROOT, env=os.environ | ONE_THREAD, stdin=subprocess.DEVNULL,
                stdout=written, stderr=subprocess.STDOUT,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def check(self) -> None:
        """Look whether it lives.

        Raises:
            SideFailed: it has ended.
        """
        if self._process.poll() is not None:
            tail = self._log.read_text(errors="replace")[-3000:]
            raise SideFailed(f"{' '.join(self._arguments)} ended with status {self._process.returncode}:\n{tail}")

    def end(self, *, ask: bool) -> None:
        """Wait for its end, which is asked for unless it comes by itself; after a while it is killed."""
        if ask:
            self._process.terminate()
        try:
            self._process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            for child in [*psutil.Process(self.pid).children(recursive=True), psutil.Process(self.pid)]:
                child.kill()
            self._process.wait()


@contextmanager
def started(commands: Iterable[tuple[Path, tuple[str, ...]]]) -> Iterator[list[Process]]:
    """Start processes that end by themselves; when something is raised they are ended."""
    processes = [Process(log, *arguments) for log, arguments in commands]
    try:
        yield processes
    except BaseException:
        for process in processes:
            process.end(ask=True)
        raise
    for process in processes:
        process.end(ask=False)


class CpuClock:
    """The CPU time of some processes and of all that they have started, also of those that have ended meanwhile."""

    def __init__(self, pids: Iterable[int]) -> None:
        self._pids = list(pids)
        self._latest: dict[psutil.Process, float] = {}
        self._looked_at = 0.0
        self._look()
        self._before = sum(self._latest.values())

    def tick(self) -> None:
        """Look, if that was long ago: a process is counted up to the last look before its end."""
        if time.monotonic() - self._looked_at >= CPU_SECONDS:
            self._look()

    def seconds(self) -> float:
        """Return the CPU seconds since the beginning."""
        self._look()
        return sum(self._latest.values()) - self._before

    def _look(self) -> None:
        self._looked_at = time.monotonic()
        for pid in self._pids:
            root = psutil.Process(pid)
            for process in [root, *root.children(recursive=True)]:
                with suppress(psutil.NoSuchProcess):
                    self._latest[process] = sum(process.cpu_times()[:2])
