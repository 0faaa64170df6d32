"""Workers as plain processes on this machine, each with GPUs of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from search_spaces.problems import InvalidSpec

from .host import Host, worker_command


@dataclass
class LocalLauncher:
    """Starts processes; a worker has `gpus` of the devices that no other worker of this launcher has."""

    flags: Sequence[str]
    gpus: int
    """Of each worker; 0: it trains on the CPU."""
    devices: Sequence[str] = ()
    """The GPUs of this machine, as torch names them."""
    _held: dict[str, Host] = field(default_factory=dict)
    _given: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.gpus and not self.most:
            raise InvalidSpec(
                f"a worker is to have {self.gpus} GPUs, and there are {len(self.devices)}", field="--gpus-per-worker"
            )

    @property
    def most(self) -> int | None:
        """How many workers have room; None: as many as are wanted."""
        return len(self.devices) // self.gpus if self.gpus else None

    def start(self, name: str, flags: Sequence[str]) -> Host:
        """Start a worker; its name's place among those that live tells its devices."""
        host = Host(worker_command([*self.flags, *flags, "--name", name, "--devices", self._devices_for(name)]))
        self._held[name] = host
        return host

    def close(self) -> None:
        """Nothing is held but the processes."""

    def _devices_for(self, name: str) -> str:
        if not self.gpus:
            return "cpu"
        living = [other for other, host in self._held.items() if other != name and host.status() is None]
        self._held = {other: self._held[other] for other in living}
        taken = {device for other in living for device in self._given[other]}
        free = [device for device in self.devices if device not in taken][: self.gpus]
        self._given[name] = free
        return ",".join(free)
