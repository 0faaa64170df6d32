"""A pulse: a file whose time tells a probe that the worker's loop goes round."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from pathlib import Path

BEAT_SECONDS = 1.0


def pulse_of(file: Path | None, clock: Callable[[], float] = time.monotonic) -> Callable[[], None]:
    """Return what is called between two steps: it sets the time of `file` once a second; nothing without one.

    A beat that cannot be written is no failure: the probe sees an old time, which is what it looks for.
    """
    if file is None:
        return nothing
    place, beaten_at = file, -math.inf

    def beat() -> None:
        nonlocal beaten_at
        if clock() - beaten_at < BEAT_SECONDS:
            return
        beaten_at = clock()
        with contextlib.suppress(OSError):
            place.touch()

    return beat


def nothing() -> None:
    """Do nothing: nobody looks."""
