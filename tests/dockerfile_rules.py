"""What is held to be a fault in a Dockerfile; read without an engine.

Each rule takes one stage and gives its faults as `line: words`.
"""

from __future__ import annotations

import itertools
import re
import shlex
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence

from tests.dockerfiles import KNOWN, Instruction, instructions_of

Stage = Sequence[Instruction]
"""The instructions from one FROM to the next."""
SECRET = re.compile(r"PASSWORD|SECRET|TOKEN|CREDENTIAL|_KEY", re.IGNORECASE)
BETTER_LEFT = {"ADD": "COPY takes no archives apart and fetches nothing", "MAINTAINER": "a LABEL says it"}
WRITTEN_AS_LISTS = ("CMD", "ENTRYPOINT", "HEALTHCHECK")
"""As a shell's words they would be the child of a shell, which passes no signal on."""
NEEDED: dict[tuple[str, str], tuple[str, ...]] = {
    ("pip", "install"): ("--no-cache-dir", "--constraint"),
    ("apt-get", "install"): ("--yes", "--no-install-recommends"),
}
"""Without these an image is larger, or not the same at the next time."""


def faults(text: str) -> list[str]:
    """Return what is wrong with a Dockerfile, in the order of the rules."""
    instructions = instructions_of(text)
    return [*_unknown(instructions), *_of_names(_stages(instructions)), *_of_stages(_stages(instructions))]


def _stages(instructions: Iterable[Instruction]) -> list[list[Instruction]]:
    found: list[list[Instruction]] = []
    for one in instructions:
        if one.name == "FROM":
            found.append([])
        if found:  # an ARG may stand before the first
            found[-1].append(one)
    return found


def _unknown(instructions: Iterable[Instruction]) -> Iterator[str]:
    for one in instructions:
        if one.name not in KNOWN:
            yield _fault(one, f"there is no instruction {one.name}")
        elif one.name in BETTER_LEFT:
            yield _fault(one, f"{one.name} is not for us: {BETTER_LEFT[one.name]}")


def _of_names(stages: list[list[Instruction]]) -> Iterator[str]:
    """Bases and sources: an earlier stage, or an image with a version."""
    names: list[str] = []
    for stage in stages:
        base, *name = [word for word in stage[0].values if word != "AS"]
        version = base.partition("@")[2] or base.rpartition("/")[2].partition(":")[2]
        if base not in names and version in ("", "latest"):
            yield _fault(stage[0], f"{base} has no version")
        if set(name) & set(names):
            yield _fault(stage[0], f"another stage has the name {name[0]}")
        for one in stage:
            sources = [flag.partition("=")[2] for flag in one.flags if flag.startswith("--from=")]
            yield from (_fault(one, f"there is no stage {source}") for source in sources if source not in names)
        names += name


def _of_stages(stages: list[list[Instruction]]) -> Iterator[str]:
    rules: tuple[Callable[[Stage], Iterator[str]], ...] = (_user, _lists, _places, _secrets, _shell, _installs)
    for stage in stages:
        for rule in rules:
            yield from rule(stage)


def _user(stage: Stage) -> Iterator[str]:
    """What is started is no root, and a number that an orchestrator can compare."""
    users = [one.values[0] for one in stage if one.name == "USER"]
    for one in stage:
        if one.name == "CMD" and (not users or re.fullmatch(r"[1-9]\d*:[1-9]\d*", users[-1]) is None):
            yield _fault(one, "it is started as root, or as somebody without a number")


def _lists(stage: Stage) -> Iterator[str]:
    for name in WRITTEN_AS_LISTS:
        instructions = [one for one in stage if one.name == name]
        yield from (_fault(one, f"{name} is no list of words") for one in instructions if not one.is_list)
        yield from (_fault(one, f"{name} stands there twice") for one in instructions[1:])


def _places(stage: Stage) -> Iterator[str]:
    for one in stage:
        if one.name == "WORKDIR" and not one.values[0].startswith("/"):
            yield _fault(one, "a directory's place depends on the one before")
        if one.name == "EXPOSE" and not all(re.fullmatch(r"\d{1,5}(/tcp|/udp)?", port) for port in one.values):
            yield _fault(one, "that is no port")


def _secrets(stage: Stage) -> Iterator[str]:
    for one in stage:
        if one.name in ("ENV", "ARG"):
            names = one.values[::2] if one.name == "ENV" else [one.values[0].partition("=")[0]]
            yield from (_fault(one, f"{name} stays in the image") for name in names if SECRET.search(name))


def _shell(stage: Stage) -> Iterator[str]:
    """What a shell is given is one that it can read, in which no failure is lost."""
    for one in stage:
        if one.name != "RUN" or one.is_list:
            continue
        said = subprocess.run(["sh", "-n"], input=one.values[0], text=True, capture_output=True, check=False).stderr
        if said:
            yield _fault(one, said.strip())
            continue
        words = _words(one.values[0])
        yield from (_fault(one, f"{word} hides a failure") for word in {"|", ";", "||"} & set(words))
        yield from (_fault(one, f"no {word} here") for word in ("cd", "sudo") if word in words)


def _installs(stage: Stage) -> Iterator[str]:
    for one in stage:
        words = _words(one.values[0]) if one.name == "RUN" and not one.is_list else []
        for start, needed in NEEDED.items():
            if start in itertools.pairwise(words):
                missing = [word for word in needed if word not in words]
                yield from (_fault(one, f"{' '.join(start)} without {word}") for word in missing)


def _words(script: str) -> list[str]:
    """A script's words, with `|`, `;` and their like as words of their own."""
    try:
        return list(shlex.shlex(script, posix=True, punctuation_chars=True))
    except ValueError:
        return []  # the rule of the shell says it


def _fault(one: Instruction, words: str) -> str:
    return f"{one.line}: {words}"
