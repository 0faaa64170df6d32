"""`etude up` and `demo` for programs: what goes to stdout; the parts themselves are started in tests/acceptance."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from etude.cli import main
from search_spaces.results import Answer
from tests.unit.etude.answers import final_answer


class Interrupted:
    """Parts that run until the first look at them, at which somebody types Ctrl-C."""

    def __init__(self, *_arguments: Any) -> None:
        self.started: list[int] = []

    def __enter__(self) -> Interrupted:
        return self

    def __exit__(self, *_error: object) -> None: ...

    def start_all(self, workers: int) -> None:
        self.started.append(workers)

    def check(self) -> None:
        raise KeyboardInterrupt


@pytest.fixture(autouse=True)
def _own_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("etude.cli_parts.end_on_signals", lambda: None)


def test_up_prints_one_document(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where everything is; what is said at the end goes to stderr, and Ctrl-C is how it ends well."""
    monkeypatch.setattr("etude.cli_parts.Parts", Interrupted)

    result = CliRunner().invoke(main, ["up", "--workers", "3", "--json"], env={"ETUDE_PORT": "8001"})

    places = json.loads(result.stdout)
    assert (result.exit_code, places["service"], places["workers"]) == (0, "http://127.0.0.1:8001", 3)
    assert "stopped" in result.stderr


@pytest.mark.parametrize(
    ("words", "environ", "status", "says"),
    [
        (["--drain", "5"], {}, 2, "need --shared"),
        (["--", "--pack", "1"], {}, 2, "need --shared"),
        (["--shared", "d", "--json"], {}, 2, "--json"),
        (["--shared", "d"], {"ETUDE_DATABASE_URL": "postgresql://u@127.0.0.1/x"}, 2, "ETUDE_DATABASE_URL"),
        (["--shared", "d"], {"ETUDE_TAKEOVER_SECONDS": "soon"}, 2, "ETUDE_TAKEOVER_SECONDS"),
    ],
)
def test_up_refuses_what_does_not_go_together(
    words: list[str], environ: dict[str, str], status: int, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is made or started, with what is wrong."""
    monkeypatch.chdir(tmp_path)

    result = CliRunner().invoke(main, ["up", *words], env=environ)

    assert (result.exit_code, list(tmp_path.iterdir())) == (status, [])
    assert says in result.stderr


def test_the_demo_prints_its_answer_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """All the rest goes to the console that it is given."""

    def show_demo(*_arguments: Any, console: Any, **_options: Any) -> Answer:
        console.print("searching")
        return final_answer()

    monkeypatch.setattr("etude.cli_parts.show_demo", show_demo)

    result = CliRunner().invoke(main, ["demo", "--json"])

    assert json.loads(result.stdout)["sentence"] == "Change to this."
    assert "searching" in result.stderr
