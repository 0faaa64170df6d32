"""Which machine is the head of a shared directory: one at a time, without locks that network file systems lose.

Each head has a generation, and to become the head is to make the directory of the next one, which succeeds for one
machine alone (mkdir is atomic on NFS as it is on a disk). The head then rewrites its record again and again. A
candidate takes the head for dead once the record has not changed for so long by the candidate's own clock: clocks of
two machines are never compared. A head that could not write its record for two thirds of that time stops serving, and
so does one that sees a later generation: a machine that was frozen serves nobody when it wakes.
"""

from __future__ import annotations

import socket
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from .shared import Head, SharedDirectory

TAKEOVER_SECONDS = 30.0
"""Without a sign of life for so long, a head is taken for dead."""
BEATS = 15
"""Signs of life in that time."""
OVERDUE_SHARE = 2 / 3
"""Of that time, after which a head that cannot write stops serving by itself."""


@dataclass
class Watch:
    """What a candidate has seen of the heads."""

    shared: SharedDirectory
    takeover_seconds: float = TAKEOVER_SECONDS
    clock: Callable[[], float] = time.monotonic
    _seen: tuple[int, Head | None] | None = None
    _changed_at: float = 0.0

    def vacancy(self) -> int | None:
        """Return the generation of the head that has left or is silent, 0 before the first; None while one lives."""
        seen = (self.shared.generation(), self.shared.head())
        if seen != self._seen:
            self._seen, self._changed_at = seen, self.clock()
        generation, head = seen
        if generation == 0 or (head is not None and head.ended is not None):
            return generation
        return generation if self.clock() - self._changed_at >= self.takeover_seconds else None


@dataclass
class Office:
    """The head's place, as its holder keeps it."""

    shared: SharedDirectory
    head: Head
    takeover_seconds: float = TAKEOVER_SECONDS
    clock: Callable[[], float] = time.monotonic
    _beaten_at: float = field(default=0.0)

    def __post_init__(self) -> None:
        self._beaten_at = self.clock()

    @property
    def due(self) -> bool:
        """Whether the next sign of life should be given."""
        return self.clock() - self._beaten_at >= self.takeover_seconds / BEATS

    @property
    def overdue(self) -> bool:
        """Whether the last sign of life is so old that others may soon take this machine for dead."""
        return self.clock() - self._beaten_at >= OVERDUE_SHARE * self.takeover_seconds

    def lost(self) -> str | None:
        """Say why this machine must serve no more; None while it may.

        Raises:
            StoreUnavailable: the directory cannot be read just now.
        """
        if self.overdue:
            return "it could not write into the shared directory for too long"
        if self.shared.generation() > self.head.generation:
            return "another machine has taken over"
        return None

    def beat(self, **changed: str | None) -> None:
        """Give a sign of life, with what has changed.

        Raises:
            OSError: the directory cannot be written.
        """
        head = replace(self.head, beat=self.head.beat + 1, **changed)  # type: ignore[arg-type]
        self.shared.say(head)
        self.head, self._beaten_at = head, self.clock()


def take_office(
    shared: SharedDirectory, after: int, store: str, *, takeover_seconds: float = TAKEOVER_SECONDS,
    clock: Callable[[], float] = time.monotonic,
) -> Office | None:  # fmt: skip
    """Become the head that follows generation `after`; None where another machine was first."""
    generation = after + 1
    try:
        shared.record(generation).parent.mkdir(mode=0o700)
    except FileExistsError:
        return None
    head = Head(generation, uuid.uuid4().hex, socket.gethostname(), store=store)
    office = Office(shared, head, takeover_seconds, clock)
    office.beat()
    return office if office.lost() is None else None
