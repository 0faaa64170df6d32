"""Several devices: one worker process each, started, watched and ended by a process that trains nothing itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from threading import Thread

import torch

from search_spaces.log import Log

from .launchers.host import Host, worker_command
from .launchers.kept import LOOK_SECONDS, Kept, end_all
from .timing import Stop


def gpus_here() -> list[str]:
    """Return the GPUs of this machine, as torch names them."""
    return [f"cuda:{index}" for index in range(torch.cuda.device_count())]


def devices_of(text: str) -> list[str]:
    """Return the devices that a flag names: `all`, `cpu`, or a list such as `cuda:0,cuda:1`.

    Raises:
        ValueError: there is no such device here.
    """
    there = gpus_here()
    if text == "all":
        return there or ["cpu"]
    named = [name.strip() for name in text.split(",")]
    for name in named:
        if name not in ("cpu", "cuda", *there):
            raise ValueError(f"there is no device {name!r}; there are {', '.join(['cpu', *there])}")
    if len(set(named)) < len(named):
        raise ValueError("each device takes one worker")
    return named


class Crew:
    """Keeps one process for each command until it ends well, or until the crew is asked to stop."""

    def __init__(self, commands: Mapping[str, Sequence[str]], stop: Stop, log: Log) -> None:
        self._commands = commands
        self._stop = stop
        self._log = log

    def work(self) -> None:
        """Return once every worker has drained, or has been ended because the crew was asked to stop.

        A worker that dies is started again: what it held comes back to the store when its leases expire.
        """
        kept = [Kept(name, partial(Host, command), self._log) for name, command in self._commands.items()]
        try:
            while not self._stop.asked and kept:
                kept = [one for one in kept if one.is_needed()]
                self._stop.idle(LOOK_SECONDS)
        finally:
            end_all(kept, self._stop)


def command_for(name: str, device: str, flags: Sequence[str]) -> list[str]:
    """Return the command of the worker `name` on one device, under the same interpreter and bound to its parent."""
    return worker_command([*flags, "--name", name, "--devices", device])


def stop_with_parent(stop: Callable[[], None], descriptor: int = 0) -> None:
    """Call `stop` from the background once the parent's end of `descriptor` (standard input) is closed."""

    def watch() -> None:
        while os.read(descriptor, 4096):
            pass
        stop()

    Thread(target=watch, name="parent-watch", daemon=True).start()
