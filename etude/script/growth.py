"""Notes at which update a metric file had grown to which size."""

from __future__ import annotations

import glob
import os
import time
from collections import deque
from collections.abc import Callable

MOST_FILES = 32
"""Files looked at, the latest ones."""
CHEAP_SECONDS = 50e-6
"""A look that takes no longer, as on any local disk, is taken before every update."""
SHARE = 0.01
"""What dearer looks (a file system on a network) may take of the script's time: they are taken less often."""
LATEST_LOOKS = 8
"""A look is as dear as the cheapest of these: the others were interrupted."""
LOOK_AGAIN_SECONDS = 1.0
"""A file that appears within one tick of its directory's clock is found this much later."""


class Growth:
    """The files that match the patterns, as they are now; patterns are taken from the directory of the start."""

    def __init__(
        self,
        patterns: list[str],
        note: Callable[[str, int, int], None],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._patterns = [os.path.abspath(pattern) for pattern in patterns]
        self._note, self._clock = note, clock
        self._sizes: dict[str, int] = {}
        self._directories: dict[str, int] = {}
        self._costs = deque([0.0], maxlen=LATEST_LOOKS)
        self._next_find = self._next_look = 0.0
        if self._patterns:
            self._find()

    def look(self, updates: int, *, last: bool = False) -> None:
        """Note every file whose size has changed since the last look, with the updates made by now."""
        if not self._patterns:
            return
        begun = self._clock()
        if begun < self._next_look and not last:
            return
        if begun >= self._next_find or self._changed():
            self._find()
        for path, before in self._sizes.items():
            size = _stat(path)[0]
            if size != before:
                self._sizes[path] = size
                self._note(path, size, updates)
        self._rest(begun)

    def _rest(self, begun: float) -> None:
        """Leave out the next looks for as long as these cost too much."""
        now = self._clock()
        self._costs.append(now - begun)
        cost = min(self._costs)
        self._next_look = now + cost / SHARE if cost > CHEAP_SECONDS else now

    def _changed(self) -> bool:
        return any(_stat(path)[1] != changed for path, changed in self._directories.items())

    def _find(self) -> None:
        self._next_find = self._clock() + LOOK_AGAIN_SECONDS
        watched = {path for pattern in self._patterns for path in _directories(pattern)}
        self._directories = {path: _stat(path)[1] for path in watched}
        plain = [pattern for pattern in self._patterns if not glob.has_magic(pattern)]
        found = [path for pattern in self._patterns for path in glob.glob(pattern, recursive=True)]
        latest = sorted({*plain, *found}, key=lambda path: _stat(path)[1], reverse=True)[:MOST_FILES]
        self._sizes = {path: self._sizes.get(path, 0) for path in latest}


def _stat(path: str) -> tuple[int, int]:
    """Return size in bytes and time of the last change in nanoseconds; zeros for what is not there."""
    try:
        status = os.stat(path)
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


def _directories(pattern: str) -> list[str]:
    """Return the directories in which something new could match a pattern with wildcards."""
    parts = pattern.split(os.sep)
    first = next((i for i, part in enumerate(parts) if glob.has_magic(part)), len(parts))
    prefixes = [os.sep.join(parts[:i]) for i in range(first, len(parts))]
    found = [path for prefix in prefixes for path in glob.glob(prefix + os.sep, recursive=True)]
    if found or not prefixes:
        return found
    above = prefixes[0]
    while above and not os.path.isdir(above):
        above = os.path.dirname(above)
    return [above or os.sep]
