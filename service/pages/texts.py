"""Numbers, times and states as a page writes them."""

from __future__ import annotations

import math
from datetime import UTC, datetime

STATE_WORDS = {
    "queued": "waiting", "running": "searching", "paused": "paused", "confirming": "confirming",
    "confirming_paused": "paused", "done": "done", "stopped": "stopped", "failed": "failed",
}  # fmt: skip
"""What a person reads for a study's state."""
VERDICT_WORDS = {"winner": "Winner", "no_winner": "No winner", "undecided": "Undecided"}


def number(value: float | None, digits: int = 4) -> str:
    """Write a number with so many significant digits; a hyphen where there is none.

    >>> number(0.123456), number(None), number(float("nan")), number(1234567.0)
    ('0.1235', '-', 'diverged', '1.235e+06')
    """
    if value is None:
        return "-"
    if math.isnan(value):
        return "diverged"
    return f"{value:.{digits}g}"


def interval(pair: tuple[float, float] | None, digits: int = 4) -> str:
    """Write an interval.

    >>> interval((0.1, 0.25)), interval(None)
    ('0.1 to 0.25', '-')
    """
    return "-" if pair is None else f"{number(pair[0], digits)} to {number(pair[1], digits)}"


def duration(seconds: float) -> str:
    """Write a duration in the two units that matter.

    >>> duration(0.4), duration(59.6), duration(125), duration(7260)
    ('0.4 s', '60 s', '2 min 5 s', '2 h 1 min')
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{int(seconds) // 60} min {int(seconds) % 60} s"
    return f"{int(seconds) // 3600} h {int(seconds) % 3600 // 60} min"


def when(moment: datetime) -> str:
    """Write a time in UTC to the minute.

    >>> when(datetime(2026, 3, 1, 9, 5, 59, tzinfo=UTC))
    '2026-03-01 09:05 UTC'
    """
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
