"""The parts as processes: started together, watched, and ended together.

Each part leads a process group of its own, so that a Ctrl-C in the terminal reaches this process only, which then
ends the parts in order. A part outlives neither `stop` nor, on Linux, the death of this process.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType

from .http import is_ready
from .ports import check_ports, is_listening
from .process import Part
from .settings import PartsSettings

GRACE_SECONDS = 20.0
START_SECONDS = 60.0


class PartFailed(RuntimeError):
    """A part has ended although nobody asked it to; the text holds the end of its log."""


class Parts:
    """The service, the dashboard and the workers of one machine; leaving the `with` block ends them."""

    def __init__(self, settings: PartsSettings, root: Path, *, environ: Mapping[str, str] | None = None) -> None:
        self.settings = settings
        self._root = root
        self._environ = settings.environment(os.environ if environ is None else environ)
        self._parts: list[Part] = []

    def __enter__(self) -> Parts:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __iter__(self) -> Iterator[Part]:
        return iter(self._parts)

    def start(self, name: str, *arguments: str, environ: Mapping[str, str] | None = None) -> Part:
        """Start `python -m arguments...` as the part `name`, with `environ` over the settings' variables."""
        part = Part(name, arguments, self.settings.logs / f"{name}.log")
        part.start(self._root, {**self._environ, **(environ or {})})
        self._parts.append(part)
        return part

    def start_all(self, workers: int) -> None:
        """Start the service, wait for it, then start the dashboard and the workers.

        One after the other, because the service brings the store's tables up to date.

        Raises:
            PortTaken: an address is in use.
            PartFailed: a part has ended while starting, or the service is not ready in time.
        """
        check_ports(self.settings)
        self.start_service()
        self.start("dashboard", "service", "--only", "dashboard")
        for number in range(1, workers + 1):
            self.start(f"worker-{number}", "workers")
        address = (self.settings.host, self.settings.dashboard_port)
        self.wait_until(lambda: is_listening(address), "the dashboard is not ready")

    def start_service(self, environ: Mapping[str, str] | None = None) -> Part:
        """Start the service and wait until it answers, with `environ` over the settings' variables.

        Raises:
            PartFailed: it has ended while starting, or is not ready in time.
        """
        service = self.start("service", "service", environ=environ)
        address = (self.settings.host, self.settings.port)
        # A request costs twenty times what a connection does: it is sent once somebody is there.
        self.wait_until(lambda: is_listening(address) and is_ready(self.settings.url), "the service is not ready")
        return service

    def wait_until(self, reached: Callable[[], bool], otherwise: str, *, seconds: float = START_SECONDS) -> None:
        """Wait for `reached()` while every part lives.

        Raises:
            PartFailed: a part has ended, or `seconds` have passed.
        """
        give_up = time.monotonic() + seconds
        while not reached():
            self.check()
            if time.monotonic() > give_up:
                raise PartFailed(f"{otherwise} after {seconds:.0f} s; its log: {self._parts[-1].log}")
            time.sleep(0.1)

    def check(self) -> None:
        """Look whether every part lives.

        Raises:
            PartFailed: one has ended.
        """
        for part in self._parts:
            if part.exit_status is not None:
                raise PartFailed(_obituary(part))

    def kill(self, part: Part) -> None:
        """End one part as a crash does, and look after it no more."""
        self._parts.remove(part)
        part.end_group()
        assert part.process is not None
        part.process.wait()

    def stop(self, grace_seconds: float = GRACE_SECONDS) -> None:
        """End every part: SIGTERM, so that workers give their trials back; after the grace SIGKILL."""
        for part in self._parts:
            part.send(signal.SIGTERM)
        give_up = time.monotonic() + grace_seconds
        try:
            while any(part.exit_status is None for part in self._parts) and time.monotonic() < give_up:
                time.sleep(0.05)
        finally:
            # Also on a second Ctrl-C during the grace: leases expire, so even a kill loses nothing.
            for part in list(self._parts):
                self.kill(part)


def _obituary(part: Part) -> str:
    status = part.exit_status
    how = f"was ended by signal {-status}" if status is not None and status < 0 else f"ended with status {status}"
    tail = part.tail()
    shown = f"; the end of {part.log}:\n{tail}" if tail else f"; its log {part.log} is empty"
    return f"{part.name} {how}{shown}"
