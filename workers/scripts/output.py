"""What a script prints: kept in a file of limited size, and handed on line by line."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from threading import Lock, Thread
from typing import IO

TAIL_CHARACTERS = 3000
"""Of the output, what stands with an error."""
LONGEST_LINE = 65_536
"""Bytes; a longer line is taken in pieces."""
JOIN_SECONDS = 5.0
ENDS = re.compile(rb"[\r\n]")


class BoundedLog:
    """A file that keeps the head and the tail of what is written to it, each at most half of `limit` bytes."""

    def __init__(self, path: Path, limit: int) -> None:
        self._file = path.open("w+b")
        self._half = limit // 2
        self._tail = bytearray()
        self._head_bytes = self._beyond = 0
        self._lock = Lock()

    def write(self, data: bytes) -> None:
        """Keep what fits."""
        with self._lock:
            self._write(data)

    def _write(self, data: bytes) -> None:
        room = self._half - self._head_bytes
        head, rest = data[: max(0, room)], data[max(0, room) :]
        if head:
            self._file.write(head)
            self._file.flush()
            self._head_bytes += len(head)
        self._beyond += len(rest)
        self._tail += rest
        if len(self._tail) > 2 * self._half:
            del self._tail[: -self._half]

    def tail(self, characters: int = TAIL_CHARACTERS) -> str:
        """Return the end of what was written."""
        with self._lock:
            return self._end(characters)

    def _end(self, characters: int) -> str:
        wanted = 4 * characters
        kept = bytes(self._tail[-min(wanted, self._half) :])
        if len(kept) < wanted:
            self._file.seek(max(0, self._head_bytes - (wanted - len(kept))))
            kept = self._file.read(min(self._head_bytes, wanted - len(kept))) + kept
            self._file.seek(self._head_bytes)
        return kept.decode("utf-8", "replace")[-characters:]

    def close(self) -> None:
        """Write the tail behind the head, with a line on what was left out."""
        if self._file.closed:
            return
        kept = self._tail[-self._half :]
        left_out = self._beyond - len(kept)
        if left_out:
            self._file.write(f"\n... {left_out} bytes left out ...\n".encode())
        self._file.write(kept)
        self._file.close()


class Listener:
    """Reads a script's output in a thread of its own: into the log, and line by line to `hear`."""

    def __init__(self, output: IO[bytes], log: BoundedLog, hear: Callable[[str], None]) -> None:
        self._output = output
        self._log = log
        self._hear = hear
        self._line = b""
        self._thread = Thread(target=self._listen, name="script-output", daemon=True)
        self._thread.start()

    @property
    def over(self) -> bool:
        """Whether everything was read: nobody is left who could print."""
        return not self._thread.is_alive()

    def join(self) -> None:
        """Wait until everything is read; where processes cannot be followed, not for those that have escaped."""
        self._thread.join(JOIN_SECONDS)

    def _listen(self) -> None:
        descriptor = self._output.fileno()
        while data := os.read(descriptor, LONGEST_LINE):
            self._log.write(data)
            *lines, self._line = ENDS.split(self._line + data)
            for line in lines:
                self._say(line)
            if len(self._line) > LONGEST_LINE:
                self._say(self._line)
                self._line = b""
        self._say(self._line)

    def _say(self, line: bytes) -> None:
        if line:
            self._hear(line.decode("utf-8", "replace"))
