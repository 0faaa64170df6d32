"""A worker that is started again when it dies, until it ends well."""

from __future__ import annotations

import time
from collections.abc import Callable

from search_spaces.log import Log

from ..timing import Backoff, Stop
from .launcher import Launched

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds before a worker that has died is started again."""
STEADY_SECONDS = 60.0
"""A worker that lived so long is started again without a long pause."""
LOOK_SECONDS = 0.1


class Kept:
    """One worker by its name: what it held when it died comes back to the store when its leases expire."""

    def __init__(self, name: str, start: Callable[[], Launched], log: Log) -> None:
        """Start it."""
        self.name = name
        self._start = start
        self._log = log
        self._pauses = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        self._start_at: float | None = None
        self._begin()

    def is_needed(self) -> bool:
        """Look after it; tell whether there is more to look after: it has not ended well."""
        if self._start_at is not None:
            if time.monotonic() >= self._start_at:
                self._begin()
            return True
        status = self._launched.status()
        if status is None:
            return True
        if status == 0:
            return False
        if time.monotonic() - self._started_at > STEADY_SECONDS:
            self._pauses.reset()
        pause = self._pauses.pause()
        self._start_at = time.monotonic() + pause
        self._log.warning("worker_died", name=self.name, status=status, again_in_seconds=pause)
        return True

    def ask(self) -> None:
        """Ask it to stop, and start it no more."""
        if self._start_at is None:
            self._launched.ask()

    @property
    def ended(self) -> bool:
        """Whether nothing of it lives."""
        return self._start_at is not None or self._launched.status() is not None

    def kill(self) -> None:
        """End what is left of it."""
        if not self.ended:
            self._launched.kill()

    def _begin(self) -> None:
        self._launched, self._started_at, self._start_at = self._start(), time.monotonic(), None


def end_all(kept: list[Kept], stop: Stop) -> None:
    """Ask every worker to stop, and kill those that have not when the grace period is over."""
    for one in kept:
        one.ask()
    stop.ask()
    while not all(one.ended for one in kept) and stop.pause(LOOK_SECONDS):
        pass
    for one in kept:
        one.kill()
