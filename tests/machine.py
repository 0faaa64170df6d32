"""The parts as real processes on free ports and a store of their own, for the acceptance tests and the README's."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from etude import Client
from etude.parts import Parts
from etude.ports import free_port
from etude.process import Part
from etude.settings import PartsSettings

ROOT = Path(__file__).resolve().parents[1]
Found = TypeVar("Found")


class Machine:
    """A service with its coordinator; workers are started by the test."""

    def __init__(self, parts: Parts, client: Client) -> None:
        self.parts = parts
        self.settings = parts.settings
        self.client = client

    def worker(self, name: str, *, pack: str = "1", **environ: str) -> Part:
        """Start a worker of that name, with `environ` over its environment.

        Only where packs are what a test is about it measures them: on a busy machine that outlasts a small search.
        """
        return self.parts.start(name, "workers", "--name", name, "--pack", pack, environ=environ)

    def until(self, look: Callable[[], Found], seconds: float = 60.0) -> Found:
        """Return the first truthy answer of `look`, while every part lives."""
        found: list[Found] = []

        def reached() -> bool:
            found[:] = [look()]
            return bool(found[0])

        self.parts.wait_until(reached, "it did not come", seconds=seconds)
        return found[0]


def free_settings(data_dir: Path) -> PartsSettings:
    """Settings on an SQLite file of their own and two free ports."""
    return PartsSettings(data_dir=data_dir, port=free_port(), dashboard_port=free_port())


@contextmanager
def started(data_dir: Path, **environ: str) -> Iterator[Machine]:
    """A machine whose service is ready; exactly its processes are ended."""
    settings = free_settings(data_dir)
    with Parts(settings, ROOT) as parts, Client(settings.url) as client:
        parts.start_service(environ)
        yield Machine(parts, client)


def is_alive(pid: int) -> bool:
    """Tell whether the process lives; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def descendants(pid: int) -> list[int]:
    """Ids of the children of a process, and of theirs."""
    children = [
        int(child) for tasks in Path(f"/proc/{pid}/task").glob("*/children") for child in tasks.read_text().split()
    ]
    return children + [deeper for child in children for deeper in descendants(child)]


def until(reached: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait for something that other processes do."""
    give_up = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < give_up, "it did not come"
        time.sleep(0.05)
