"""`etude curve`, `code` and `export`: to a terminal, to a file, for a program."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import Result

from etude.history import read_csv
from etude.past import Places, UnmappedRow
from search_spaces.history import HistoryView
from search_spaces.model import Message
from tests.unit.etude.answers import CANDIDATE, THEN, final_answer, says, study_view, trial_view

MINE = "/v1/studies/mine"
Etude = Callable[..., Result]
LR = [0.0005, 0.001, 1e-05]


def plain(model: Message) -> Any:
    return json.loads(model.model_dump_json())


@pytest.fixture
def answered(table: dict[str, Any]) -> dict[str, Any]:
    table |= {
        f"GET {MINE}/best/curve": says({"lr": LR}),
        f"GET {MINE}/best/curve.svg": httpx.Response(200, content=b"<svg/>"),
        f"GET {MINE}/best/code": httpx.Response(200, text="x = 1\n"),
    }
    return table


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        (["curve", "mine", "--format", "csv"], "step,lr\n0,0.0005\n1,0.001\n2,1e-05\n"),
        (["curve", "mine", "--format", "svg"], "<svg/>"),
        (["code", "mine"], "x = 1\n"),
    ],
)
def test_what_is_printed_can_be_written_to_a_file(
    etude: Etude, answered: dict[str, Any], tmp_path: Path, arguments: list[str], printed: str
) -> None:
    """The same bytes to stdout and to a file."""
    file = tmp_path / "written"

    shown, written = etude(*arguments), etude(*arguments, "--output", str(file))

    assert (shown.exit_code, shown.stdout) == (0, printed)
    assert (written.exit_code, written.stdout, file.read_text()) == (0, "", printed)


def test_a_file_that_cannot_be_written_ends_with_2(etude: Etude, answered: dict[str, Any], tmp_path: Path) -> None:
    """The file is named, and why."""
    result = etude("curve", "mine", "--format", "svg", "--output", str(tmp_path / "none" / "lr.svg"))

    assert result.exit_code == 2
    assert "lr.svg cannot be written: No such file or directory" in " ".join(result.stderr.split())


def test_a_curve_is_a_line_of_blocks_or_json(etude: Etude, answered: dict[str, Any]) -> None:
    """JSON has every digit."""
    text, as_json = etude("curve", "mine"), etude("curve", "mine", "--json")

    assert "LR over 3 steps: at most 0.001, at last 1e-05" in text.stdout
    assert json.loads(as_json.stdout) == {"lr": LR}


def test_a_curve_is_redrawn_by_the_service(etude: Etude, table: dict[str, Any]) -> None:
    """Steps are asked for, also for a picture."""
    asked: list[dict[str, str]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(dict(request.url.params))
        return says({"lr": LR})

    table |= {f"GET {MINE}/best/curve": answer, f"GET {MINE}/best/curve.svg": answer}

    etude("curve", "mine", "--steps", "3")
    etude("curve", "mine", "--steps", "3", "--format", "svg")

    assert asked == [{"steps": "3"}, {"steps": "3"}]


def test_code_as_json_names_its_framework(etude: Etude, answered: dict[str, Any]) -> None:
    """The text is one string in it."""
    result = etude("code", "mine", "--framework", "keras", "--json")

    assert json.loads(result.stdout) == {"framework": "keras", "code": "x = 1\n"}


@pytest.fixture
def searched(table: dict[str, Any]) -> dict[str, Any]:
    """A study with a complete trial, a pruned one and a past one."""
    trials = [trial_view(0, 0.25, rungs={10: 0.5}, metrics={"error": 0.1}), trial_view(1, None, state="pruned")]
    past = HistoryView(place=0, origin="history", why="", candidate=CANDIDATE, value=0.5, added_at=THEN)
    table |= {
        f"GET {MINE}": says(study_view("done")),
        f"GET {MINE}/best": says(final_answer()),
        f"GET {MINE}/history": says({"items": [plain(past)]}),
        f"GET {MINE}/trials": lambda request: says(
            {"items": [plain(trial) for trial in trials if request.url.params.get("purpose", "search") == "search"]}
        ),
    }
    return table


def test_a_study_is_exported_as_one_document(etude: Etude, searched: dict[str, Any]) -> None:
    """Everything that the service shows of it but curves."""
    document = json.loads(etude("export", "mine").stdout)

    assert document == json.loads(etude("export", "mine", "--json").stdout)
    assert document["study"]["name"] == "mine"
    assert document["answer"]["sentence"] == "Change to this."
    assert [len(document["trials"][purpose]) for purpose in ("search", "tuning", "confirmation")] == [2, 0, 0]
    assert document["history"][0]["origin"] == "history"


def test_an_exported_table_is_read_as_past_trials(etude: Etude, searched: dict[str, Any], tmp_path: Path) -> None:
    """As it is: no mapping is needed, and what was pruned has no value at its end."""
    file = tmp_path / "mine.csv"
    etude("export", "mine", "--format", "csv", "--output", str(file))

    past = read_csv(file)
    first = Places().read(past.rows[0])

    assert {"number", "rungs.10", "metrics.error", "adamw.lr", "candidate"} <= set(past.columns)
    assert (first.candidate, first.value, first.horizon_steps) == (CANDIDATE, 0.25, 100)
    with pytest.raises(UnmappedRow, match="its state is pruned"):
        Places().read(past.rows[1])


@pytest.mark.parametrize("written", ["=cmd|' /C calc'!A0", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1"])
def test_an_exported_cell_is_no_formula(etude: Etude, table: dict[str, Any], written: str) -> None:
    """A worker's name stands in one line and behind an apostrophe; a number stays one."""
    trial = trial_view(0, -0.25).model_copy(update={"worker": written})
    table[f"GET {MINE}/trials"] = says({"items": [plain(trial)]})

    text = etude("export", "mine", "--format", "csv").stdout_bytes.decode()
    [row] = csv.DictReader(io.StringIO(text, newline=""))

    assert (row["worker"], row["value"]) == (f"'{written.strip()}", "-0.25")


def test_past_trials_are_listed(etude: Etude, searched: dict[str, Any]) -> None:
    """With where they come from and what they are to the search."""
    text, as_json = etude("history", "mine"), etude("history", "mine", "--json")

    assert "history" in text.stdout.splitlines()[1]
    assert json.loads(as_json.stdout)["items"][0]["value"] == 0.5
