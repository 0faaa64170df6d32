"""How long a worker waits for what, and how it stops: a value that is looked at between two steps."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

LOOK_SECONDS = 0.05
LATE_SHARE = 0.3
"""Of the grace period, what is kept for giving trials back, whatever their training is doing."""


@dataclass(frozen=True)
class Timing:
    """The worker's clocks, in seconds."""

    report: float = 2.0
    """Reports wait no longer than this for company."""
    heartbeat: float = 10.0
    rest: float = 2.0
    """After so long without a verb the one connection is closed: PostgreSQL has few, and trials may be long."""
    lease: float = 60.0
    """Length of a lease, as the store is set; one that ends sooner is believed."""
    first_idle: float = 0.2
    longest_idle: float = 2.0
    """Between two claims while there is nothing to do."""
    ask: float = 1.0
    """Between two claims for free places while other trials are in training."""
    first_retry: float = 0.2
    longest_retry: float = 5.0
    """Between two attempts while the store cannot be reached."""
    grace: float = 10.0
    """From the request to stop until the worker gives up on giving its trials back."""
    drain: float | None = None
    """Without anything to claim for so long, the worker ends; None: it waits for ever."""


class Backoff:
    """Pauses that grow up to a longest, with jitter, so that workers do not come back in step."""

    def __init__(self, first: float, longest: float, growth: float = 2.0) -> None:
        self._first = first
        self._longest = longest
        self._growth = growth
        self._next = first

    def pause(self) -> float:
        """Return the next pause in seconds: between half of it and all of it."""
        pause, self._next = self._next, min(self._longest, self._growth * self._next)
        return pause * random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """Begin with the first pause again."""
        self._next = self._first


class Stop:
    """The request to stop; asking is safe in a signal's arrival, which may interrupt any line of a wait."""

    def __init__(self, grace_seconds: float = Timing.grace) -> None:
        self._grace_seconds = grace_seconds
        self._asked_at: float | None = None

    def ask(self) -> None:
        """Ask the worker to stop; the first time counts."""
        if self._asked_at is None:
            self._asked_at = time.monotonic()

    @property
    def asked(self) -> bool:
        """Whether the worker is to stop."""
        return self._asked_at is not None

    @property
    def grace_left(self) -> float:
        """Seconds left for what must still be done; infinite while nobody has asked."""
        if self._asked_at is None:
            return float("inf")
        return self._asked_at + self._grace_seconds - time.monotonic()

    @property
    def is_late(self) -> bool:
        """Whether so little of the grace period is left that trials have to be given back as they are."""
        return self.grace_left < LATE_SHARE * self._grace_seconds

    def idle(self, seconds: float) -> None:
        """Wait, but no longer than until somebody asks."""
        end = time.monotonic() + seconds
        # In slices, not on an Event: its lock is not safe to take in a signal's arrival.
        while not self.asked and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, LOOK_SECONDS))

    def pause(self, seconds: float) -> bool:
        """Wait before something that must be done is tried again; False when the grace period is over."""
        if not self.asked:
            self.idle(seconds)
            return True
        if (left := self.grace_left) <= 0:
            return False
        time.sleep(min(seconds, left))
        return True
