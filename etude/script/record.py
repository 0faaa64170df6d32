"""Writes the record of a trial: events as lines, numbers in a page of shared memory, one row an update.

No event and no row ever stops the script: what cannot be written (a disk that is full) is counted instead. Nothing is
kept open between two events, so a script that closes every file descriptor loses nothing and damages nothing.
"""

from __future__ import annotations

import json
import mmap
import os
import time
from typing import Any

from . import layout

WINDOW_ROWS = 8192
WINDOW_BYTES = WINDOW_ROWS * layout.ROW_WORDS * layout.WORD_BYTES  # a multiple of 64 KiB, as mapping at an offset asks


class Writer:
    """The files of this process in the record directory; a forked child opens its own before it trains."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.pid = os.getpid()
        self._stem = os.path.join(directory, f"{self.pid}-{time.time_ns():x}")
        self._lost = 0
        self._words: memoryview[int] | None = None
        self._floats: memoryview[float] | None = None
        self._window: memoryview[float] | None = None
        self._first_row = 0
        self._begun = 0.0

    def event(self, event: str, **fields: Any) -> None:
        """Append one event; it is whole for a reader or not there."""
        line = json.dumps(dict(fields, event=event)).encode() + b"\n"
        try:
            file = os.open(self._stem + layout.EVENTS, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                os.write(file, line)
            finally:
                os.close(file)
        except OSError:
            self._lose()

    def begin(self, rank: int, world: int) -> tuple[int, int]:
        """Open the page as the first update begins; return updates and optimizers of earlier processes of this rank."""
        try:
            base, optimizers = _before(self.directory, rank)
        except OSError:
            base, optimizers = 0, 0
        content = memoryview(bytearray(layout.PAGE_WORDS * layout.WORD_BYTES)).cast("Q")
        content[layout.RANK], content[layout.WORLD], content[layout.BASE] = rank, world, base
        content[layout.LOST] = self._lost
        try:
            page = memoryview(self._shared(content.tobytes()))
        except OSError:
            page = memoryview(bytearray(content.tobytes()))  # counted for ourselves at least
        self._words, self._floats = page.cast("Q"), page.cast("d")
        self._begun = self._floats[layout.BEGUN] = self._floats[layout.LATEST] = time.perf_counter()
        return base, optimizers

    def count(self, index: int, number: int) -> None:
        """Set a word of the page."""
        assert self._words is not None
        self._words[index] = number

    def add(self, index: int) -> None:
        """Count one more in a word of the page."""
        if self._words is not None:
            self._words[index] += 1

    def largest(self, slot: int, rate: float) -> None:
        """Keep the largest LR that the script itself has set for a group."""
        if self._floats is not None and slot < layout.MOST_GROUPS and rate > self._floats[layout.FIRST_GROUP + slot]:
            self._floats[layout.FIRST_GROUP + slot] = rate

    def row(self, update: int, own: float, in_force: float, seconds: float, slot: int) -> None:
        """Write the row of an update, counted from 0 in this process, then count the update: in this order."""
        assert self._words is not None
        assert self._floats is not None
        if update - self._first_row >= WINDOW_ROWS or self._window is None:
            self._map_window(update // WINDOW_ROWS)
        if self._window is not None:
            place = (update - self._first_row) * layout.ROW_WORDS
            self._window[place], self._window[place + 1] = own, in_force
            self._window[place + 2], self._window[place + 3] = seconds, slot
        else:
            self._lose()
        self._floats[layout.LATEST] = self._begun + seconds
        self._words[layout.UPDATES] = update + 1

    def _shared(self, content: bytes) -> mmap.mmap:
        """Write a page of zeros and what is known, let it appear whole, and map it."""
        path = self._stem + layout.PAGE
        with open(path + ".unfinished", "w+b") as file:
            file.write(content)  # written, not only reserved: storing to a page with no room for it would be fatal
            file.flush()
            memory = mmap.mmap(file.fileno(), len(content))
        os.replace(path + ".unfinished", path)
        return memory

    def _map_window(self, number: int) -> None:
        self._first_row, self._window = number * WINDOW_ROWS, None
        try:
            with open(self._stem + layout.ROWS, "a+b") as file:
                if file.tell() == number * WINDOW_BYTES:
                    file.write(bytes(WINDOW_BYTES))
                    file.flush()
                memory = mmap.mmap(file.fileno(), WINDOW_BYTES, offset=number * WINDOW_BYTES)
        except (OSError, ValueError):  # no room, also for windows before this one
            return
        self._window = memoryview(memory).cast("d")

    def _lose(self) -> None:
        self._lost += 1
        self.add(layout.LOST)


def _before(directory: str, rank: int) -> tuple[int, int]:
    """Return how far earlier processes of a rank have come: a script may train in several, one after the other."""
    reached = optimizers = 0
    for entry in os.scandir(directory):
        if entry.name.endswith(layout.PAGE):
            with open(entry.path, "rb") as file:
                words = memoryview(file.read(layout.FIRST_OPTIMIZER * layout.WORD_BYTES)).cast("Q")
            if words[layout.RANK] == rank:
                reached = max(reached, words[layout.BASE] + words[layout.UPDATES])
                optimizers += words[layout.OPTIMIZERS]
    return reached, optimizers
