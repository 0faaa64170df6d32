"""A Dockerfile as its instructions, for the tests: what Docker reads, but heredocs and parser directives."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass

KNOWN = frozenset(
    ["ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "MAINTAINER",
     "ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"]
)  # fmt: skip


@dataclass(frozen=True)
class Instruction:
    """One instruction with all of its lines."""

    line: int
    """Where it begins, from 1."""
    name: str
    flags: tuple[str, ...]
    """What stands between its name and its values, such as `--from=build`."""
    values: tuple[str, ...]
    """Words; of a RUN that is no list the one script, of ENV names and values in turn."""
    is_list: bool
    """Whether its command is written as a JSON list, which no shell reads."""
    text: str


def instructions_of(text: str) -> list[Instruction]:
    """Read a Dockerfile.

    Raises:
        ValueError: an instruction has no values, or a continued line ends the file.
    """
    found: list[Instruction] = []
    begun, first = "", 0
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue  # also between continued lines
        first = first if begun else number
        begun += line
        if begun.endswith("\\"):
            begun = begun[:-1]
            continue
        found.append(_instruction(first, begun.strip()))
        begun = ""
    if begun:
        raise ValueError(f"{first}: the file ends within this")
    return found


def _instruction(line: int, text: str) -> Instruction:
    name, _, rest = text.partition(" ")
    flags, rest = _flags(rest.strip())
    if not rest:
        raise ValueError(f"{line}: {name} says nothing")
    values, is_list = _values(name.upper(), rest)
    return Instruction(line, name.upper(), flags, values, is_list, text)


def _flags(rest: str) -> tuple[tuple[str, ...], str]:
    flags: list[str] = []
    while rest.startswith("--"):
        flag, _, rest = rest.partition(" ")
        flags.append(flag)
        rest = rest.lstrip()
    return tuple(flags), rest


def _values(name: str, rest: str) -> tuple[tuple[str, ...], bool]:
    if name == "HEALTHCHECK":
        first, _, command = rest.partition(" ")
        listed = _listed(command)
        return (first, *(listed or (command,))), listed is not None
    listed = _listed(rest)
    if listed is not None:
        return listed, True
    if name == "ENV":
        pairs = [pair.partition("=") for pair in shlex.split(rest)]
        return tuple(part for key, _, value in pairs for part in (key, value)), False
    return ((rest,) if name in ("RUN", "CMD", "ENTRYPOINT") else tuple(rest.split())), False


def _listed(text: str) -> tuple[str, ...] | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return tuple(found) if isinstance(found, list) else None
