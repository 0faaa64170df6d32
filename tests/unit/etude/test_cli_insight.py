"""`etude importance`: tables whose words say what a search score is."""

from __future__ import annotations

import json
from collections.abc import Callable

from click.testing import Result

from search_spaces.insight import (
    FamilyTally,
    GroupImportance,
    Insight,
    LrBin,
    LrSensitivity,
    ParameterImportance,
    RungPruned,
)
from tests.unit.etude.answers import says

MINE = "/v1/studies/mine"
Etude = Callable[..., Result]

INSIGHT = Insight(
    study="mine", metric="loss", direction="minimize", trials=64, read=64,
    importance=[
        GroupImportance(
            group="optimizer sgd", trials=20, parameters=[ParameterImportance(parameter="sgd.lr", share=0.75)]
        ),
        GroupImportance(group="schedule rex", trials=3, why_none="3 complete trials; it takes 10"),
    ],
    families=[
        FamilyTally(
            part="optimizer", family="sgd", tried=40, complete=20, pruned=20, best=0.5, interval=(0.4, 0.6), n=7
        ),
        FamilyTally(part="optimizer", family="adam", tried=24, complete=4, pruned=20, best=0.7),
    ],
    lr=[LrSensitivity(optimizer="sgd", bins=[LrBin(low=0.1, high=0.316, complete=3, pruned=2, best=0.5, median=0.6)])],
    pruned=[RungPruned(rung=10, reached=64, pruned=20)],
    spared=3, spared_good=1, notes=["none of them is a result"],
)  # fmt: skip


def test_importance_is_printed_in_tables(etude: Etude, table: dict[str, object]) -> None:
    """Shares, families, LRs and rungs; a best is confirmed or a search score, and the notes are there."""
    table[f"GET {MINE}/importance"] = says(INSIGHT)

    lines = [" ".join(line.split()) for line in etude("importance", "mine").output.splitlines()]

    assert "optimizer sgd 20 sgd.lr 0.75 ███████████████" in lines
    assert "schedule rex: 3 complete trials; it takes 10" in lines
    assert "Every optimizer tried (best loss)" in lines
    assert "sgd 40 20 20 0 0.5000 0.4000 to 0.6000 confirmed, n = 7" in lines
    assert "adam 24 4 20 0 0.7000 search score" in lines
    assert "0.1 to 0.32 3 2 0.5000 0.6000" in lines
    assert "Of 3 that would have been pruned and ran on, 1 ended among the best quarter." in lines
    assert "10 64 20" in lines
    assert lines[-1] == "Note: none of them is a result"


def test_importance_as_json_is_what_the_service_says(etude: Etude, table: dict[str, object]) -> None:
    """Nothing is lost between the service and the terminal."""
    table[f"GET {MINE}/importance"] = says(INSIGHT)

    assert Insight.model_validate(json.loads(etude("importance", "mine", "--json").stdout)) == INSIGHT
