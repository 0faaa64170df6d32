"""docs/history.md does what it says: its blocks in their order, by the command line on a service in this process."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
from click.testing import CliRunner

from etude.cli import main
from etude.past import PLAIN, is_place
from store import Store, open_store
from tests.integration.service_http import serving
from tests.machine import ROOT
from tests.promises.documents import blocks

DOCUMENT = "docs/history.md"


@pytest.fixture
def own_store(sqlite_template: Path, tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{shutil.copy(sqlite_template, tmp_path / 'etude.db')}")
    yield opened
    opened.close()


def test_the_page_does_what_it_says(own_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every block: the file that is shown is written, commands are called, and print what is shown below them."""
    monkeypatch.chdir(tmp_path)
    printed = ""
    with serving(own_store) as http:
        monkeypatch.setenv("ETUDE_URL", str(http.base_url))
        for block in blocks(DOCUMENT):
            if block.language == "csv":
                Path("results.csv").write_text(block.text)
            elif block.language == "python":
                _run_program(block.text)
            elif block.language == "bash":
                printed = "".join(_etude(command) for command in block.commands)
            else:
                assert printed.endswith(block.text)

    assert "mine" in Path("mine.json").read_text()
    assert Path("mine.csv").read_text().startswith("number,state")


def _run_program(text: str) -> None:
    found: dict[str, object] = {}
    exec(text, found)
    study = found["study"]
    assert isinstance(study, optuna.Study)
    rdb = study._storage._backend  # type: ignore[attr-defined]
    rdb.remove_session()
    rdb.engine.dispose()


def _etude(command: str) -> str:
    program, *arguments = shlex.split(command)
    assert program == "etude"
    done = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_every_place_is_in_the_table() -> None:
    """And each name in the table is a place."""
    text = (ROOT / DOCUMENT).read_text(encoding="utf-8")
    table = text.split("| place | meaning |")[1].split("\n\n")[0]
    named = [name.strip("`") for line in table.splitlines()[2:] for name in line.split("|")[1].split() if "`" in name]
    cleaned = [name.strip("`,") for name in named]

    assert set(PLAIN) <= set(cleaned)
    assert [name for name in cleaned if not is_place(name)] == []
