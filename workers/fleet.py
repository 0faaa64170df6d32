"""A fleet: between so many and so many workers, as the backlog asks, wherever a launcher can start them.

It trains nothing itself and stops nobody in the middle of a trial: a worker beyond the least number ends by itself
once it has had nothing to do for a while.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from search_spaces.log import Log
from search_spaces.problems import StoreUnavailable

from .launchers.kept import LOOK_SECONDS, Kept, end_all
from .launchers.launcher import Launcher
from .timing import Stop

SCALE_SECONDS = 2.0
"""Between two looks at the backlog."""
IDLE_SECONDS = 30.0
"""Without anything to do for so long, a worker beyond the least number ends; its place then rests for as long."""


@dataclass(frozen=True)
class Size:
    """How many workers there are to be."""

    least: int
    most: int
    trials_each: int = 1
    """Trials of the backlog for which there is one worker."""
    idle_seconds: float = IDLE_SECONDS

    def wanted(self, backlog: int) -> int:
        """Return how many workers a backlog asks for.

        >>> size = Size(least=1, most=4, trials_each=10)
        >>> [size.wanted(trials) for trials in (0, 1, 11, 1000)]
        [1, 1, 2, 4]
        """
        return min(self.most, max(self.least, math.ceil(backlog / self.trials_each)))


@dataclass
class Fleet:
    """Keeps the workers that the backlog asks for until it is asked to stop."""

    name: str
    launcher: Launcher
    size: Size
    backlog: Callable[[], int]
    """Reads how many trials there are to train."""
    stop: Stop
    log: Log
    drain: float | None = None
    """Ends the fleet after so many seconds without backlog and without workers beyond the least."""
    scale_seconds: float = SCALE_SECONDS
    clock: Callable[[], float] = time.monotonic
    _kept: dict[int, Kept] = field(default_factory=dict)
    _rests_until: dict[int, float] = field(default_factory=dict)
    _scale_at: float = -math.inf
    _away: bool = False
    _busy_at: float = 0.0

    def work(self) -> None:
        """Return once asked to stop, or drained; by then every worker has given its trials back and ended.

        Raises:
            Problem: the store or the service refuses to tell the backlog.
        """
        self._busy_at = self.clock()
        try:
            while not self.stop.asked and not self._has_drained():
                self._look_after()
                if self.clock() >= self._scale_at:
                    self._scale_at = self.clock() + self.scale_seconds
                    self._scale()
                self.stop.idle(LOOK_SECONDS)
        finally:
            end_all(list(self._kept.values()), self.stop)
            self.launcher.close()

    def _look_after(self) -> None:
        for number, one in list(self._kept.items()):
            if not one.is_needed():
                del self._kept[number]
                self._rests_until[number] = self.clock() + self.size.idle_seconds
                self.log.info("worker_drained", name=one.name, workers=len(self._kept))

    def _scale(self) -> None:
        backlog = self._known_backlog()
        if backlog:
            self._busy_at = self.clock()
        wanted = self.size.least if backlog is None else self.size.wanted(backlog)
        for number in self._places():
            if len(self._kept) >= wanted:
                return
            self._start(number, backlog)

    def _known_backlog(self) -> int | None:
        """Return the backlog; None while the store is away, which is said once."""
        try:
            backlog = self.backlog()
        except StoreUnavailable as problem:
            if not self._away:
                self.log.warning("store_unavailable", detail=problem.detail)
            self._away = True
            return None
        self._away = False
        return backlog

    def _places(self) -> Sequence[int]:
        """Numbers of workers that may be started now; those of the least number never rest."""
        now = self.clock()
        free = [number for number in range(self.size.most) if number not in self._kept]
        return [number for number in free if number < self.size.least or self._rests_until.get(number, now) <= now]

    def _start(self, number: int, backlog: int | None) -> None:
        name = f"{self.name}-{number}"
        drains = [] if number < self.size.least else ["--drain", str(self.size.idle_seconds)]
        self._kept[number] = Kept(name, partial(self.launcher.start, name, drains), self.log)
        self.log.info("worker_started", name=name, workers=len(self._kept), backlog=backlog)

    def _has_drained(self) -> bool:
        if self.drain is None or any(number >= self.size.least for number in self._kept):
            return False
        return self.clock() - self._busy_at >= self.drain
