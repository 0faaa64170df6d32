"""The Dockerfile and docker-compose.yml as the tests read them: what a container would be, without an engine."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.dockerfiles import Instruction, instructions_of
from tests.machine import ROOT

COMPOSE_FILE = ROOT / "docker-compose.yml"
DOCKERFILE = ROOT / "Dockerfile"
OURS = frozenset({"search_spaces", "etude", "store", "service", "workers"})


@cache
def composed(**environ: str) -> dict[str, Any]:
    """What Docker Compose itself makes of the file, every profile included, with these variables set."""
    return read_by_compose(COMPOSE_FILE, **environ)


def read_by_compose(file: Path, **environ: str) -> dict[str, Any]:
    """Read a file with Docker Compose; CalledProcessError, with its words, where it is refused."""
    program = Path(sys.executable).parent / "docker-compose"
    given = ["--file", file, "--env-file", os.devnull, "--profile", "*"]  # no .env of whoever runs the tests
    done = subprocess.run(
        [program, *given, "config", "--format", "json"],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    document: dict[str, Any] = json.loads(done.stdout)
    return document


@dataclass
class Stage:
    """One stage of the Dockerfile with what it has from the stage before it."""

    base: str
    environment: dict[str, str] = field(default_factory=dict)
    extras: set[str] = field(default_factory=set)
    copied: set[str] = field(default_factory=set)
    user: str = "root"
    healthcheck: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)

    def after(self, base: str) -> Stage:
        """Return a stage that begins with this one."""
        return Stage(base, dict(self.environment), set(self.extras), set(self.copied), self.user)


@cache
def stages() -> dict[str, Stage]:
    """The Dockerfile's stages by name."""
    found: dict[str, Stage] = {}
    stage = Stage("")
    for instruction in instructions():
        if instruction.name == "FROM":
            base, _, name = instruction.values
            stage = found[name] = found[base].after(base) if base in found else Stage(base)
        _take(stage, instruction)
    return found


@cache
def instructions() -> list[Instruction]:
    """The Dockerfile's instructions."""
    return instructions_of(DOCKERFILE.read_text())


def _take(stage: Stage, instruction: Instruction) -> None:
    name, values = instruction.name, instruction.values
    if name == "ENV":
        stage.environment.update(zip(values[::2], values[1::2], strict=True))
    elif name == "COPY":
        stage.copied.update(values[:-1])
    elif name == "RUN":
        stage.extras.update(re.findall(r"--editable '\.\[(\w+)\]'", values[0]))
    elif name == "USER":
        stage.user = values[0]
    elif name == "HEALTHCHECK":
        stage.healthcheck = list(values[1:])
    elif name == "CMD":
        stage.command = list(values)


def absent(stage: Stage) -> tuple[list[str], list[str]]:
    """Modules that are here and would not be in an image, and distributions: beyond its extras, or ours, not copied."""
    needed = _needed("etude", frozenset(stage.extras))
    owners = {name: {canonicalize_name(owner) for owner in several} for name, several in _installed().items()}
    modules = {name for name, several in owners.items() if not needed & several} - OURS
    return sorted(modules | (OURS - stage.copied)), sorted(set().union(*owners.values()) - needed)


@cache
def _installed() -> Mapping[str, list[str]]:
    return metadata.packages_distributions()


def _needed(distribution: str, extras: frozenset[str]) -> set[str]:
    """Names of a distribution with these extras and of all that it needs, directly or not."""
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = [(canonicalize_name(distribution), extras)]
    while waiting:
        name, wanted = current = waiting.pop()
        if current in seen:
            continue
        seen.add(current)
        waiting += [
            (canonicalize_name(needed.name), frozenset(needed.extras))
            for needed in map(Requirement, _requirements(name, wanted))
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in wanted | {""})
        ]
    return {name for name, _ in seen}


def _requirements(distribution: str, extras: frozenset[str]) -> list[str]:
    if distribution == "etude":  # as it is written now, not as it was when this environment was made
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        return project["dependencies"] + [line for extra in extras for line in project["optional-dependencies"][extra]]
    try:
        return metadata.requires(distribution) or []
    except metadata.PackageNotFoundError:
        return []  # an alternative that is not installed here
