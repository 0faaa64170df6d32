"""Every code block of the README, the quickstart and CONTRIBUTING does what it says, on parts really started."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from etude.ports import free_port
from tests.machine import ROOT, Machine, started, until
from tests.promises.documents import Block, blocks, in_place, with_small_budgets

DOCUMENTS = ("README.md", "docs/quickstart.md", "CONTRIBUTING.md", "docs/design.md")
ALL = [block for document in DOCUMENTS for block in blocks(document)]
COMMANDS = [(block.document, command) for block in ALL if block.language == "bash" for command in block.commands]
SERVERS = [pair for pair in COMMANDS if "optuna-dashboard" in pair[1]]
MAKE = [pair for pair in COMMANDS if pair[1].startswith("make ")]
COMMAND_SECONDS = 400
"""What a command may take, on a machine that does much else."""
CALLS = [pair for pair in COMMANDS if pair not in SERVERS and pair not in MAKE]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """What `make up` starts, without the dashboard and the second worker."""
    with started(tmp_path_factory.mktemp("readme")) as here:
        here.worker("first")
        here.until(lambda: any(worker.live for worker in here.client.workers()))
        yield here


def environment(machine: Machine) -> dict[str, str]:
    return os.environ | {"ETUDE_URL": machine.settings.url, "PYTHONPATH": str(ROOT)}


def python_program(document: str) -> str:
    """The document's Python blocks as one program: later ones go on from earlier ones."""
    return "\n".join(block.text for block in blocks(document) if block.language == "python")


def test_every_block_is_of_a_kind_that_is_run() -> None:
    """Nothing escapes: a block is a shell's, Python's, or a drawing without a language."""
    assert {block.language for block in ALL} <= {"bash", "python", ""}
    assert {block.document for block in ALL if block.language == ""} <= {"docs/design.md"}
    assert (len(SERVERS), len(MAKE) > 3, len(CALLS) > 5) == (1, True, True)


@pytest.mark.parametrize(("document", "command"), MAKE)
def test_make_commands_name_targets(document: str, command: str) -> None:
    """`make demo` is run in tests/acceptance, `make test` is this."""
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)

    assert command.split()[1] in targets


@pytest.mark.parametrize(("document", "command"), CALLS)
def test_shell_commands_work(document: str, command: str, machine: Machine) -> None:
    """Each ends with 0, on the same machine and in the order of the document."""
    shell = with_small_budgets(in_place(command, machine.settings, 0))

    done = subprocess.run(
        ["bash", "-c", shell],
        cwd=ROOT,
        env=environment(machine),
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    if "--json" in command or command.startswith("curl"):
        assert json.loads(done.stdout)


@pytest.mark.parametrize("document", ["README.md", "docs/quickstart.md"])
def test_python_blocks_work(document: str, machine: Machine, tmp_path: Path) -> None:
    """Run as a program by somebody who is in no checkout."""
    program = tmp_path / "program.py"
    program.write_text(with_small_budgets(python_program(document)))

    done = subprocess.run(
        [sys.executable, "-W", "error", str(program)],
        cwd=tmp_path,
        env=environment(machine),
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize(("document", "command"), SERVERS)
def test_a_stock_dashboard_opens_the_store(document: str, command: str, machine: Machine) -> None:
    """optuna-dashboard by the store's URL alone lists the studies."""
    port = free_port()
    shell = in_place(command, machine.settings, port)
    machine.client.submit(name="for-the-dashboard", task="digits-noisy", trials=1, horizon={"epochs": 1})

    server = subprocess.Popen(
        ["bash", "-c", f"exec {shell}"], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        until(lambda: server.poll() is not None or b"for-the-dashboard" in read(f"http://127.0.0.1:{port}/api/studies"))
        assert server.poll() is None
    finally:
        server.terminate()  # SIGINT is ignored by what a shell started in the background
        server.wait(30)


def read(url: str) -> bytes:
    """The answer at `url`; empty while nobody listens."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bytes(answer.read())
    except urllib.error.URLError:
        return b""


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    """Every relative link and picture is a file of the repository."""
    text = (ROOT / document).read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#]+)\)", text)
    missing = [target for target in targets if not ((ROOT / document).parent / target).exists()]

    assert missing == []


def test_blocks_are_read_with_continued_lines() -> None:
    """The reader of blocks joins what a backslash continues and drops comments."""
    block = Block("", "bash", "curl a \\\n  b\n# nothing\nmake demo    # the way\n")

    assert block.commands == ["curl a    b", "make demo"]
