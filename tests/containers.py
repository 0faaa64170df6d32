"""Containers of docker-compose.yml as processes: the file's own commands and environment, in places of the test's.

Only what an engine gives is put in place of what it would be: the names of hosts, published ports, and where volumes,
secrets and /tmp lie. A process finds only the image's modules and may write only where the container could.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from etude.ports import free_port
from etude.process import Part
from tests.images import absent, composed, stages
from tests.machine import ROOT

WRAPPED = ROOT / "tests" / "container"
SECRETS, WORK, TEMPORARY = "/run/secrets", "/var/lib/etude", "/tmp"


class Container:
    """One container of a service of the file, which may have several."""

    def __init__(self, folder: Path, service: str, number: int, postgres: str) -> None:
        """Stand in `folder`, beside the other containers; `postgres` is the address that stands for its service's."""
        self.definition: dict[str, Any] = composed()["services"][service]
        self.name = f"{service}-{number}"
        opened = [port["target"] for port in self.definition.get("ports", [])]
        self.ports = {port: free_port() for port in [*opened, *map(int, self.definition.get("expose", []))]}
        own = folder / self.name
        (own / "tmp").mkdir(parents=True)
        mounted = [volume["target"] for volume in self.definition.get("volumes", [])]
        self.places = {
            "postgres:5432": postgres,
            "0.0.0.0": "127.0.0.1",
            SECRETS: str(folder / "secrets"),
            WORK: str(folder / "work" if WORK in mounted else own / "nowhere"),
            TEMPORARY: str(own / "tmp"),
        } | {str(port): str(free) for port, free in self.ports.items()}
        stage = stages()[self.definition["build"]["target"]]
        writable = [TEMPORARY, *mounted]
        modules, distributions = absent(stage)
        known = {"absent": modules, "unknown": distributions, "writable": [self.placed(place) for place in writable]}
        (own / "container.json").write_text(json.dumps(known))
        self.environment = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "OMP_NUM_THREADS": "1",
            "TMPDIR": self.placed(TEMPORARY),
            "PYTHONPATH": os.pathsep.join([str(WRAPPED), str(ROOT)]),
            "CONTAINER": str(own / "container.json"),
        } | {name: self.placed(value) for name, value in (stage.environment | self.definition["environment"]).items()}
        self.part = Part(self.name, self.module(self.definition["command"]), own / "log")

    def placed(self, text: str) -> str:
        """Put the test's places where the file names a container's."""
        return re.sub("|".join(map(re.escape, self.places)), lambda found: self.places[found[0]], text)

    def module(self, command: list[str]) -> list[str]:
        """What follows `python -m` in a command of the file, as it stands there."""
        assert command[:2] == ["python", "-m"]
        return command[2:]

    def url(self, port: int) -> str:
        """Where a port of the container is reached."""
        return f"http://127.0.0.1:{self.ports[port]}"

    def start(self) -> None:
        """Start the process."""
        self.part.start(ROOT, self.environment)

    def is_healthy(self, test: list[str] | None = None) -> bool:
        """Run the file's healthcheck, or another, as the engine would."""
        kind, program, *rest = test or self.definition["healthcheck"]["test"]
        assert kind == "CMD"
        command = [sys.executable if program == "python" else program, *map(self.placed, rest)]
        done = subprocess.run(command, env=self.environment, cwd=ROOT, capture_output=True, timeout=60, check=False)
        return done.returncode == 0

    def log(self) -> str:
        """What the process has written."""
        return self.part.log.read_text(errors="replace")


@contextmanager
def ended(containers: list[Container]) -> Iterator[None]:
    """Kill what is left of the containers when the block ends."""
    try:
        yield
    finally:
        for container in containers:
            if container.part.process is not None:
                container.part.end_group()
                container.part.process.wait()


def stop(containers: list[Container], seconds: float) -> list[int]:
    """Ask every process to stop, as `docker compose stop` does; their exit statuses.

    TimeoutExpired where one takes longer than `seconds`.
    """
    for container in containers:
        container.part.send(signal.SIGTERM)
    processes = [container.part.process for container in containers]
    return [process.wait(seconds) for process in processes if process is not None]
