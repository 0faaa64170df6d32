"""What is held to be a fault in a Dockerfile; read by Docker's own parser, without an engine.

Each rule takes one stage and gives its faults as `line: words`.
"""

from __future__ import annotations

import itertools
import re
import shlex
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence

import dockerfile

Command = dockerfile.Command
Stage = Sequence[Command]
"""The commands from one FROM to the next."""
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
    commands = dockerfile.parse_string(text)
    return [*_unknown(commands), *_of_names(_stages(commands)), *_of_stages(_stages(commands))]


def _stages(commands: Iterable[Command]) -> list[list[Command]]:
    found: list[list[Command]] = []
    for command in commands:
        if command.cmd == "FROM":
            found.append([])
        if found:  # an ARG may stand before the first
            found[-1].append(command)
    return found


def _unknown(commands: Iterable[Command]) -> Iterator[str]:
    known = dockerfile.all_cmds()
    for command in commands:
        if command.cmd.lower() not in known:
            yield _fault(command, f"there is no instruction {command.cmd}")
        elif command.cmd in BETTER_LEFT:
            yield _fault(command, f"{command.cmd} is not for us: {BETTER_LEFT[command.cmd]}")


def _of_names(stages: list[list[Command]]) -> Iterator[str]:
    """Bases and sources: an earlier stage, or an image with a version."""
    names: list[str] = []
    for stage in stages:
        base, *name = [word for word in stage[0].value if word != "AS"]
        version = base.partition("@")[2] or base.rpartition("/")[2].partition(":")[2]
        if base not in names and version in ("", "latest"):
            yield _fault(stage[0], f"{base} has no version")
        if set(name) & set(names):
            yield _fault(stage[0], f"another stage has the name {name[0]}")
        for command in stage:
            sources = [flag.partition("=")[2] for flag in command.flags if flag.startswith("--from=")]
            yield from (_fault(command, f"there is no stage {source}") for source in sources if source not in names)
        names += name


def _of_stages(stages: list[list[Command]]) -> Iterator[str]:
    rules: tuple[Callable[[Stage], Iterator[str]], ...] = (_user, _lists, _places, _secrets, _shell, _installs)
    for stage in stages:
        for rule in rules:
            yield from rule(stage)


def _user(stage: Stage) -> Iterator[str]:
    """What is started is no root, and a number that an orchestrator can compare."""
    users = [command.value[0] for command in stage if command.cmd == "USER"]
    for command in stage:
        if command.cmd == "CMD" and (not users or re.fullmatch(r"[1-9]\d*:[1-9]\d*", users[-1]) is None):
            yield _fault(command, "it is started as root, or as somebody without a number")


def _lists(stage: Stage) -> Iterator[str]:
    for name in WRITTEN_AS_LISTS:
        commands = [command for command in stage if command.cmd == name]
        yield from (_fault(command, f"{name} is no list of words") for command in commands if not command.json)
        yield from (_fault(command, f"{name} stands there twice") for command in commands[1:])


def _places(stage: Stage) -> Iterator[str]:
    for command in stage:
        if command.cmd == "WORKDIR" and not command.value[0].startswith("/"):
            yield _fault(command, "a directory's place depends on the one before")
        if command.cmd == "EXPOSE" and not all(re.fullmatch(r"\d{1,5}(/tcp|/udp)?", port) for port in command.value):
            yield _fault(command, "that is no port")


def _secrets(stage: Stage) -> Iterator[str]:
    for command in stage:
        if command.cmd in ("ENV", "ARG"):
            names = command.value[::2] if command.cmd == "ENV" else [command.value[0].partition("=")[0]]
            yield from (_fault(command, f"{name} stays in the image") for name in names if SECRET.search(name))


def _shell(stage: Stage) -> Iterator[str]:
    """What a shell is given is one that it can read, in which no failure is lost."""
    for command in stage:
        if command.cmd != "RUN" or command.json:
            continue
        said = subprocess.run(["sh", "-n"], input=command.value[0], text=True, capture_output=True, check=False).stderr
        if said:
            yield _fault(command, said.strip())
            continue
        words = _words(command.value[0])
        yield from (_fault(command, f"{word} hides a failure") for word in {"|", ";", "||"} & set(words))
        yield from (_fault(command, f"no {word} here") for word in ("cd", "sudo") if word in words)


def _installs(stage: Stage) -> Iterator[str]:
    for command in stage:
        words = _words(command.value[0]) if command.cmd == "RUN" and not command.json else []
        for start, needed in NEEDED.items():
            if start in itertools.pairwise(words):
                missing = [word for word in needed if word not in words]
                yield from (_fault(command, f"{' '.join(start)} without {word}") for word in missing)


def _words(script: str) -> list[str]:
    """A script's words, with `|`, `;` and their like as words of their own."""
    try:
        return list(shlex.shlex(script, posix=True, punctuation_chars=True))
    except ValueError:
        return []  # the rule of the shell says it


def _fault(command: Command, words: str) -> str:
    return f"{command.start_line}: {words}"
