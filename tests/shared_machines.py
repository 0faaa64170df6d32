"""Machines that share a directory: `etude up --shared` as processes of this one, each with a disk of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from etude import Client
from etude.following import FollowingVerbs
from etude.shared import SharedDirectory
from search_spaces.problems import StoreUnavailable
from tests.dying import die_with_parent
from tests.machine import ROOT, descendants, until
from tests.simulated import Simulated

SCRIPT = ROOT / "deploy" / "slurm" / "etude.sbatch"
TAKEOVER_SECONDS = 6.0


@dataclass
class Machines:
    """Tasks of an array, as Slurm would start them."""

    place: Path
    shared: SharedDirectory
    environ: dict[str, str] = field(default_factory=dict)
    tasks: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, *worker_flags: str, **environ: str) -> subprocess.Popen[bytes]:
        """Start the next task by the script that the documentation names, on a node of its own."""
        number = len(self.tasks)
        around = os.environ | {
            "SLURM_ARRAY_TASK_ID": str(number), "SLURM_JOB_ID": str(1000 + number), "SLURM_SUBMIT_DIR": str(ROOT),
            "SLURM_TMPDIR": str(self.disk(number)), "ETUDE_SHARED": str(self.shared.path), "ETUDE_HOST": "127.0.0.1",
            "ETUDE_TAKEOVER_SECONDS": str(TAKEOVER_SECONDS), "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT),
            "ETUDE_COMMAND": str(Path(sys.executable).with_name("etude")), **self.environ, **environ,
        }  # fmt: skip
        with self.log(number).open("wb") as out:
            task = subprocess.Popen(
                ["bash", str(SCRIPT), *worker_flags], env=around, stdout=out, stderr=out,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - one system call, no Python locks
            )  # fmt: skip
        self.tasks.append(task)
        return task

    def disk(self, number: int) -> Path:
        """The node's own disk."""
        return self.place / f"node-{number}"

    def log(self, number: int) -> Path:
        """What a task has printed."""
        return self.place / f"task-{number}.log"

    def serving(self, generation: int, seconds: float = 120.0) -> Client:
        """A client of the head of this generation, once it serves."""

        def is_there() -> bool:
            head = self.shared.head()
            return head is not None and head.generation >= generation and head.url is not None

        until(is_there, seconds)
        return Client(self.shared.url(), self.shared.admin_token.read_text())

    def worker(self, number: int) -> tuple[str, int]:
        """Name and process of the one worker that a task has."""
        [process] = [pid for pid in descendants(self.tasks[number].pid) if "workers" in _arguments(pid)]
        return _arguments(process)[_arguments(process).index("--name") + 1], process

    def kill_node(self, number: int) -> None:
        """End a task with everything that it has started, at once, and its disk with it."""
        task = self.tasks[number]
        for pid in [*descendants(task.pid), task.pid]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        task.wait()
        self.disk(number).rename(self.place / f"lost-{number}")

    def end(self) -> None:
        """End every task, whatever it is at."""
        for number, task in enumerate(self.tasks):
            if task.poll() is None:
                self.disk(number).mkdir(exist_ok=True)
                self.kill_node(number)


def _arguments(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_text().split("\0")


@contextmanager
def machines(place: Path, **environ: str) -> Iterator[Machines]:
    """No machine yet; every one that is started ends with the block."""
    made = Machines(place, SharedDirectory(place / "shared"), environ)
    try:
        yield made
    finally:
        made.end()


@contextmanager
def simulated_worker(shared: SharedDirectory, name: str, pause: float) -> Iterator[None]:
    """A worker in a thread, which follows the head and trains nothing; it ends once the last head has."""
    verbs = FollowingVerbs(shared)
    worker = Simulated(verbs, name, pause, every=5, lease=30.0, heartbeat=2.0)
    ended = threading.Event()

    def work() -> None:
        while not ended.is_set():
            with suppress(StoreUnavailable):
                worker.work(idle=0.5)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(60)
        verbs.close()
