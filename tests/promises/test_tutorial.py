"""docs/tutorial.md and docs/howto.md hold together; tests/soak/test_tutorial.py does everything that they say."""

from __future__ import annotations

import re
import shlex

import pytest
import yaml
from click.testing import CliRunner

from etude.cli import main
from search_spaces.study import StudySpec
from tests.machine import ROOT
from tests.promises.documents import Block, blocks

TUTORIAL, HOWTO = "docs/tutorial.md", "docs/howto.md"
ETUDE = ".venv/bin/etude "
COMMANDS = [
    command.partition(ETUDE)[2]
    for document in (TUTORIAL, HOWTO)
    for block in blocks(document)
    if block.language == "bash"
    for command in block.commands
    if ETUDE in command and ETUDE + "worker" not in command
]


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_are_ours(command: str) -> None:
    """With the options that they have: one that is not known is refused before the help is printed."""
    done = CliRunner().invoke(main, [*shlex.split(command), "--help"])

    assert done.exit_code == 0, done.output


def test_commands_that_are_not_ours_would_be_seen() -> None:
    """The test above can fail."""
    assert len(COMMANDS) > 10
    assert CliRunner().invoke(main, ["best", "tutorial", "--no-such-option", "--help"]).exit_code == 2


def test_the_programs_differ_in_what_the_tutorial_says() -> None:
    """`final.py` is `train.py` with its optimizer, schedule and length from elsewhere, and nothing else."""
    programs = {block.text.partition("\n")[0]: block.text.splitlines()[1:] for block in blocks(TUTORIAL)}
    old, new = programs["# train.py"], programs["# final.py"]

    assert len([line for line in new if line not in old]) == 4
    assert len([line for line in old if line not in new]) == 3


@pytest.mark.parametrize("block", [block for block in blocks(HOWTO) if block.language == "yaml"])
def test_the_how_tos_specs_would_be_taken(block: Block) -> None:
    """Each is a whole study."""
    spec = StudySpec.model_validate(yaml.safe_load(block.text))

    assert spec.model_fields_set > {"name", "task"}


@pytest.mark.parametrize("document", [TUTORIAL, HOWTO])
def test_links_and_kinds_of_blocks(document: str) -> None:
    """Every link leads to a file and, where it says so, to a heading in it; no block is of a kind that is not run."""
    text = (ROOT / document).read_text(encoding="utf-8")
    links = [target.partition("#") for target in re.findall(r"\]\(([^)]+)\)", text)]
    pages = {file: (ROOT / "docs" / file).read_text(encoding="utf-8") for file, _, _ in links}

    assert {block.language for block in blocks(document)} <= {"bash", "python", "yaml"}
    assert [(file, place) for file, _, place in links if place and place not in _headings(pages[file])] == []


def _headings(text: str) -> set[str]:
    return {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in re.findall(r"^#+ (.+)$", text, re.M)}
