"""How the processes of a side and the benchmark wait for each other: files in a folder, looked for every 10 ms."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

LOOK_SECONDS = 0.01
LONGEST_SECONDS = 420.0


class Signs:
    """`ready` and `done` are said by each process, `go` and `end` by the benchmark."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def ready(self) -> None:
        """Say that this process is warm, and wait until the search is submitted."""
        self._say("ready")
        wait_until((self.folder / "go").exists)

    def done(self, at: float | None = None) -> None:
        """Say that this process has its last result, now or at the time `at`, and wait until it may end."""
        self._say("done", at)
        wait_until((self.folder / "end").exists)

    def said(self, what: str) -> list[float]:
        """Return when the processes said it: seconds since the epoch."""
        return [float(path.read_text()) for path in self.folder.glob(f"{what}-*.at")]

    def give(self, what: str) -> None:
        """Say `go` or `end` to every process."""
        (self.folder / what).touch()

    def _say(self, what: str, at: float | None = None) -> None:
        path = self.folder / f"{what}-{os.getpid()}.at"
        unfinished = path.with_suffix(".new")
        unfinished.write_text(str(at or time.time()))
        unfinished.rename(path)


def wait_until(reached: Callable[[], bool], check: Callable[[], None] = lambda: None) -> None:
    """Wait; `check` may raise.

    Raises:
        TimeoutError: after seven minutes.
    """
    give_up = time.monotonic() + LONGEST_SECONDS
    while not reached():
        check()
        if time.monotonic() > give_up:
            raise TimeoutError
        time.sleep(LOOK_SECONDS)
