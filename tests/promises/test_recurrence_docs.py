"""docs/recurrences.md does what it says: its blocks in their order, on a service in this process."""

from __future__ import annotations

import contextlib
import io
import json
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from etude.cli import main
from search_spaces.recurrence import RecurrenceSpec, WebhookSpec
from search_spaces.work import Announcement
from service.webhooks import signature
from store import Store, open_store
from store.verbs import SqlVerbs
from tests.integration.service_http import serving
from tests.machine import ROOT
from tests.promises.documents import Block, blocks
from tests.studies import OFFER

DOCUMENT = "docs/recurrences.md"


@pytest.fixture
def own_store(sqlite_template: Path, tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{shutil.copy(sqlite_template, tmp_path / 'etude.db')}")
    SqlVerbs(opened).announce("w", Announcement(slots=1, tasks=[OFFER.model_copy(update={"name": "digits-mlp"})]))
    yield opened
    opened.close()


def test_the_page_does_what_it_says(own_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is written, every command works, the program prints the night, the signature is ours."""
    monkeypatch.chdir(tmp_path)
    found: dict[str, object] = {}
    printed = io.StringIO()
    with serving(own_store) as http:
        monkeypatch.setenv("ETUDE_URL", str(http.base_url))
        for block in blocks(DOCUMENT):
            _do(block, found, printed)

    assert " running None None" in printed.getvalue()
    is_genuine = found["is_genuine"]
    assert callable(is_genuine)
    assert is_genuine("secret", signature("secret", 1000, b"{}"), b"{}", 1100.0)
    assert not is_genuine("secret", signature("secret", 1000, b"{}"), b"{ }", 1100.0)
    assert not is_genuine("secret", signature("secret", 1000, b"{}"), b"{}", 1400.0)


def _do(block: Block, found: dict[str, object], printed: io.StringIO) -> None:
    if block.language == "yaml":
        Path("nightly.yaml").write_text(block.text)
    elif block.language == "json":
        WebhookSpec.model_validate(json.loads(block.text)["webhook"])
    elif block.language == "python":
        with contextlib.redirect_stdout(printed):
            exec(block.text, found)
    else:
        assert block.language == "bash"
        for command in block.commands:
            program, *arguments = shlex.split(command)
            done = CliRunner().invoke(main, arguments, catch_exceptions=False)
            assert (program, done.exit_code) == ("etude", 0), done.output


def test_every_field_is_in_the_table() -> None:
    """With the default that it has."""
    text = (ROOT / DOCUMENT).read_text(encoding="utf-8")
    table = text.split("| field | default | meaning |")[1].split("\n\n")[0]
    named = [name.strip("` ") for line in table.splitlines()[2:] for name in line.split("|")[1].split(",")]

    assert sorted(named) == sorted(RecurrenceSpec.model_fields)
