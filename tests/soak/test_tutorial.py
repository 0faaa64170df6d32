"""docs/tutorial.md is one session, from its first command to its last; docs/howto.md goes on from there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.machine import ROOT, Machine, started
from tests.promises.documents import Block, blocks, in_place

TUTORIAL, HOWTO = "docs/tutorial.md", "docs/howto.md"
NOT_RUN = ("make up", "ETUDE_", ".venv/bin/etude worker")
"""What the fixture starts in their place, and what needs other machines."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory in which everything is typed."""
    return tmp_path_factory.mktemp("tutorial")


@pytest.fixture(scope="module")
def machine(place: Path) -> Iterator[Machine]:
    """What `make up` starts, with one worker and without the dashboard, after the tutorial was followed."""
    with started(place / "var") as here:
        here.worker("first")
        here.until(lambda: any(worker.live for worker in here.client.workers()))
        type_in(here, place, blocks(TUTORIAL))
        yield here


def type_in(machine: Machine, place: Path, typed: list[Block]) -> str:
    """Save programs that are named in their first line, run the others and all commands; return what was printed."""
    environ = os.environ | {"ETUDE_URL": machine.settings.url, "PYTHONPATH": str(ROOT)}
    lines = ["set -e"]
    for number, block in enumerate(typed):
        if block.language == "python":
            named = re.match(r"# (\w+\.py)\n", block.text)
            program = place / (named[1] if named else f"block{number}.py")
            program.write_text(in_place(block.text, machine.settings, 0))
            lines += [] if named else [f"{sys.executable} {program}"]
        elif block.language == "bash":
            lines += [in_place(one, machine.settings, 0) for one in block.commands if not one.startswith(NOT_RUN)]
    done = subprocess.run(
        ["bash", "-c", "\n".join(lines)],
        cwd=place,
        env=environ,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_tutorial_comes_to_both_answers(machine: Machine) -> None:
    """Its studies have ended with a verdict, and the second has confirmed what the script had before."""
    answers = [machine.client.best(name) for name in ("tutorial", "my-training")]

    assert [answer.status for answer in answers] == ["final", "final"]
    assert "current" in [arm.name for arm in answers[1].evidence.arms]
    assert machine.client.get("my-training").counts.ended == 8


def test_the_how_tos_work(machine: Machine, place: Path) -> None:
    """What they do with the tutorial's studies they do."""
    printed = type_in(machine, place, blocks(HOWTO))

    assert "my-training.confirmation" in printed
    assert (place / "my-training.csv").read_text().startswith("number,state")
