"""The parts as processes: started together, watched, and ended together.

Each part leads a process group of its own, so that a Ctrl-C in the terminal reaches this process only, which then
ends the parts in order. A part outlives neither `stop` nor, on Linux, the death of this process.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from .http import is_ready
from .settings import PartsSettings

GRACE_SECONDS = 20.0
START_SECONDS = 60.0
TAIL_LINES = 15
PR_SET_PDEATHSIG = 1


class PartFailed(RuntimeError):
    """A part has ended although nobody asked it to; the text holds the end of its log."""


class PortTaken(OSError):
    """A port is in use already; the text names the variable that chooses another."""


@dataclass
class Part:
    """One process: a module of the checkout, its log, and how it is doing."""

    name: str
    arguments: Sequence[str]
    """What follows `python -m`."""
    log: Path
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    _log_start: int = 0

    def start(self, root: Path, environ: Mapping[str, str]) -> None:
        """Start the process in `root`; what it prints goes to its log, behind what was there."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            self.process = subprocess.Popen(
                [sys.executable, "-m", *self.arguments],
                cwd=root,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_end_with_parent(),  # noqa: PLW1509 - only two system calls, no Python locks
            )

    @property
    def pid(self) -> int:
        """Process id, which is also the id of its group."""
        assert self.process is not None, f"{self.name} is not started"
        return self.process.pid

    @property
    def exit_status(self) -> int | None:
        """How the process has ended; None while it lives."""
        assert self.process is not None, f"{self.name} is not started"
        return self.process.poll()

    def tail(self) -> str:
        """Return the last lines that this process has logged."""
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return "\n".join(log.read().decode(errors="replace").splitlines()[-TAIL_LINES:])

    def send(self, number: signal.Signals) -> None:
        """Signal the process alone: it looks after its own children."""
        if self.exit_status is None:
            os.kill(self.pid, number)

    def end_group(self) -> None:
        """Kill whatever is left of the process and its children."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            return  # nobody is left; on macOS a group of zombies answers with EPERM


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
        self.wait_until(lambda: is_ready(self.settings.url), "the service is not ready")
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


def check_ports(settings: PartsSettings) -> None:
    """Look whether both ports are free.

    Raises:
        PortTaken: one is not; the text names the variable to set.
    """
    for name, port in (("ETUDE_PORT", settings.port), ("ETUDE_DASHBOARD_PORT", settings.dashboard_port)):
        if not is_free(settings.host, port):
            raise PortTaken(
                f"port {port} on {settings.host} is in use, perhaps by another `etude up`: "
                f"stop that, or set {name} to a free port"
            )


def is_free(host: str, port: int) -> bool:
    """Tell whether a server could listen at (host, port) now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As servers do it: a port whose last connections are still winding down counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port that is free just now."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def is_listening(address: tuple[str, int]) -> bool:
    """Tell whether somebody accepts connections at `address`."""
    try:
        with socket.create_connection(address, timeout=1.0):
            return True
    except OSError:
        return False


def _obituary(part: Part) -> str:
    status = part.exit_status
    how = f"was ended by signal {-status}" if status is not None and status < 0 else f"ended with status {status}"
    tail = part.tail()
    shown = f"; the end of {part.log}:\n{tail}" if tail else f"; its log {part.log} is empty"
    return f"{part.name} {how}{shown}"


def _end_with_parent() -> Callable[[], None] | None:
    """What a child does before it becomes the part: ask Linux for SIGTERM when this process dies, however it dies."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def ask() -> None:
        prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)

    return ask
