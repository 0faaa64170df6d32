"""Notes at which update a script wrote a metric to stdout or stderr, and changes nothing of what it writes.

Only the method `write` of the stream object is stood before: the object, its type, its buffer and its encoding stay
what they are, so `print`, `logging` and `tqdm` go this way and `detach` or `reconfigure` work as ever. A stream that
the script puts in the place of another is found at the next update. What bypasses the stream objects (`os.write`, the
`buffer` below, C code, other programs) is not noted.
"""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Callable
from typing import Any

MOST_CHARACTERS = 65536
"""Of a line that does not end, only so many at its end are kept."""


class Line:
    """The line that a stream is in the middle of."""

    def __init__(self) -> None:
        self.text = ""
        self.updates = 0
        """Updates made as its last characters were written: what ends it may come much later."""


class Lines:
    """Matches of the metrics' patterns in lines of stdout and stderr, each with the number of updates."""

    def __init__(self, patterns: list[str], note: Callable[[str, int], None], made: Callable[[], int]) -> None:
        self._patterns = [re.compile(pattern) for pattern in patterns]
        self._note, self._made = note, made
        self._watched: dict[str, Any] = {}
        self._lines = {"stdout": Line(), "stderr": Line()}
        self._writing: set[int] = set()
        """Threads that are in a write of ours."""

    def watch(self) -> None:
        """Stand before the streams of now, as far as they are not known yet."""
        if sys.stdout is self._watched.get("stdout") and sys.stderr is self._watched.get("stderr"):
            return
        for name in self._lines if self._patterns else ():
            stream = getattr(sys, name)
            if stream is not self._watched.get(name):
                self._watched[name] = stream
                if _leads_out(stream):
                    self._stand_before(stream, name)

    def end(self) -> None:
        """End the lines that are not ended: nothing more will come."""
        for name in self._lines:
            self._take(name, "\n")

    def _stand_before(self, stream: Any, name: str) -> None:
        write = stream.write
        if getattr(write, "notes_metrics", False):
            return  # it was put back in its place

        def noting_write(text: Any, *rest: Any) -> Any:
            thread = threading.get_ident()
            if thread in self._writing or not isinstance(text, str):  # by a stream before this one, which has noted it
                return write(text, *rest)
            self._writing.add(thread)
            try:
                self._take(name, text)
                return write(text, *rest)
            finally:
                self._writing.discard(thread)

        noting_write.notes_metrics = True  # type: ignore[attr-defined]
        try:
            stream.write = noting_write
        except AttributeError:  # a class with slots: its lines are not noted
            return

    def _take(self, name: str, text: str) -> None:
        line = self._lines[name]
        parts = re.split(r"[\r\n]", text)
        for part in parts[:-1]:
            self._add(line, part)
            self._match(line)
            line.text = ""
        self._add(line, parts[-1])

    def _add(self, line: Line, text: str) -> None:
        if text:
            line.text = (line.text + text)[-MOST_CHARACTERS:]
            line.updates = self._made()

    def _match(self, line: Line) -> None:
        for pattern in self._patterns:
            for match in pattern.finditer(line.text):
                self._note(match.group(0), line.updates)


def _leads_out(stream: Any) -> bool:
    """Whether what is written there reaches stdout or stderr of the process, and not a buffer of the script's."""
    try:
        status = os.fstat(stream.fileno())
        outward = [os.fstat(1), os.fstat(2)]
    except (OSError, ValueError, AttributeError):
        return False
    return any((status.st_dev, status.st_ino) == (one.st_dev, one.st_ino) for one in outward)
