"""`etude import`: what is sent, what is printed, with which exit status it ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import Result

from search_spaces.history import HistoryAnswer, HistoryItem
from search_spaces.problems import Conflict
from tests.unit.etude.answers import refuses, says, study_view

MINE = "/v1/studies/mine"
Etude = Callable[..., Result]
MAPPED = ("--map", "lr=adamw.lr, val_loss=value", "--set", "schedule=cosine", "--into", "mine")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "results.csv"
    file.write_text("lr,val_loss,host\n0.001,0.5,a\n0.01,0.4,b\nfast,0.3,c\n")
    return file


@pytest.fixture
def sent(table: dict[str, Any]) -> list[dict[str, Any]]:
    """The trials that reach a study, the first of which becomes history and every other a proposal."""
    trials: list[dict[str, Any]] = []

    def take(request: httpx.Request) -> httpx.Response:
        trials.extend(json.loads(request.content)["trials"])
        items = [HistoryItem(trial=0, becomes="history", why="the same task over 10 steps", new=True)]
        items += [HistoryItem(trial=n, becomes="proposal", why="it has no value") for n in range(1, len(trials))]
        return says(HistoryAnswer(items=items))

    table |= {f"GET {MINE}": says(study_view()), f"POST {MINE}/history": take}
    return trials


def test_a_csv_file_is_sent_and_every_row_is_answered(etude: Etude, sent: list[dict[str, Any]], file: Path) -> None:
    """What could be mapped goes to the service; for the rest it is said why, row by row."""
    result = etude("import", "csv", str(file), *MAPPED, "--horizon-steps", "10", "--task", "digits-noisy")

    assert result.exit_code == 0
    assert [trial["candidate"]["initial_lr"] for trial in sent] == [0.001, 0.01]
    assert [(trial["value"], trial["horizon_steps"], trial["source"]) for trial in sent] == [
        (0.5, 10, "results.csv:2"), (0.4, 10, "results.csv:3"),
    ]  # fmt: skip
    assert {trial["task"]["name"] for trial in sent} == {"digits-noisy"}
    assert result.stdout.splitlines() == [
        "1 history: the sampler learns from it",
        "  the same task over 10 steps",
        "    results.csv:2",
        "1 first proposal: its candidate is tried before others (1 of them sent before)",
        "  it has no value",
        "    results.csv:3",
        "1 left out",
        "  adamw.lr: 'fast' is no number",
        "    results.csv:4",
    ]


def test_as_json_there_is_one_item_a_row(etude: Etude, sent: list[dict[str, Any]], file: Path) -> None:
    """In the order of the file."""
    items = json.loads(etude("import", "csv", str(file), *MAPPED, "--json").stdout)["items"]

    assert [item["becomes"] for item in items] == ["history", "proposal", "left_out"]
    assert set(items[0]) == {"source", "becomes", "why", "new"}


def test_names_of_others_are_said(etude: Etude, sent: list[dict[str, Any]], tmp_path: Path) -> None:
    """A class of torch is one of ours."""
    file = tmp_path / "torch.csv"
    file.write_text("optimizer,schedule,initial_lr,value\nAdamW,CosineAnnealingLR,0.001,0.5\n")

    etude("import", "csv", str(file), "--into", "mine", "--rename", "CosineAnnealingLR=cosine")

    assert sent[0]["candidate"]["schedule"]["kind"] == "cosine"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("none.csv", "--into", "mine"), "none.csv cannot be read"),
        (("FILE", "--into", "mine", "--map", "rate=adamw.lr"), "there is no rate; there are lr, val_loss, host"),
        (("FILE", "--into", "mine", "--map", "lr=adamw.speed"), "adamw has no 'speed': lr, "),
        (("FILE", "--into", "mine", "--map", "lr"), "'lr' is no pair such as lr=adamw.lr"),
        (("FILE",), "--into"),
    ],
)
def test_what_cannot_be_meant_ends_with_2(
    etude: Etude, sent: list[dict[str, Any]], file: Path, arguments: tuple[str, ...], words: str
) -> None:
    """Before anything is sent."""
    result = etude("import", "csv", *(str(file) if word == "FILE" else word for word in arguments))

    assert (result.exit_code, sent) == (2, [])
    assert words in result.stderr.replace("\n", " ")


def test_nothing_that_can_be_used_ends_with_1(etude: Etude, sent: list[dict[str, Any]], tmp_path: Path) -> None:
    """A script hears of it; so does a study that searches no more."""
    file = tmp_path / "bad.csv"
    file.write_text("lr,val_loss\nfast,1\n")

    result = etude("import", "csv", str(file), *MAPPED)

    assert (result.exit_code, sent) == (1, [])
    assert "1 left out" in result.stdout


def test_a_refusal_of_the_service_is_told(etude: Etude, table: dict[str, Any], file: Path) -> None:
    """In its words."""
    refusal = refuses(Conflict("the search of mine is over (it is done): it learns nothing more"))
    table |= {f"GET {MINE}": says(study_view()), f"POST {MINE}/history": refusal}

    result = etude("import", "csv", str(file), *MAPPED)

    assert (result.exit_code, result.stderr) == (
        1, "etude: the search of mine is over (it is done): it learns nothing more\n",
    )  # fmt: skip
