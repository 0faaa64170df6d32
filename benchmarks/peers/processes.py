"""The processes of one side, and the CPU time of all that they have started."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}
GRACE_SECONDS = 20


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


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the CPU time of processes, of all they have started, and of those of these that have ended."""
    total = 0.0
    for pid in pids:
        root = psutil.Process(pid)
        for process in [root, *root.children(recursive=True)]:
            try:
                total += sum(process.cpu_times()[:4])  # user and system, of itself and of children that have ended
            except psutil.NoSuchProcess:
                continue  # its parent has its time now
    return total
