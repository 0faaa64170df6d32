"""What starts workers somewhere: the narrow interface between a fleet and the machines that it trains on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

GONE = -1
"""Exit status of a worker that has gone with its machine: nobody knows how it ended."""


class Launched(Protocol):
    """One worker that was started, or that waits for a place."""

    def status(self) -> int | None:
        """Return how it has ended, `GONE` where nobody knows; None while it lives or waits."""

    def ask(self) -> None:
        """Ask it to give its trials back and to end; one that still waits for a place ends at once."""

    def kill(self) -> None:
        """End it as a crash does, and let go of what it held here."""


class Launcher(Protocol):
    """Starts workers."""

    def start(self, name: str, flags: Sequence[str]) -> Launched:
        """Start `python -m workers` with the launcher's flags, a name, and `flags`."""

    def close(self) -> None:
        """Let go of the cluster; what still lives there ends."""
