"""Trials as a table, and pictures of them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

import httpx
import pytest

from etude.errors import InvalidSpec
from search_spaces.work import Report
from tests.unit.etude.answers import CANDIDATE, Script, says, study_view, trial_view

plt = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(autouse=True)
def _no_windows() -> Iterator[None]:
    before = plt.get_backend()
    plt.switch_backend("agg")
    yield
    plt.close("all")
    plt.switch_backend(before)


def page(*trials: object) -> httpx.Response:
    return says({"items": [json.loads(trial.model_dump_json()) for trial in trials], "next_cursor": None})  # type: ignore[attr-defined]


def test_a_table_has_a_row_for_each_trial_and_a_column_for_each_field() -> None:
    """Candidate, parameters and rungs are spread out; what a trial lacks is missing there."""
    first = trial_view(0, params={"lr": 0.1}, rungs={10: 0.9, 20: 0.7})
    second = trial_view(1, math.nan, state="failed", metrics={"accuracy": 0.5}, candidate=None)

    table = Script(page(first, second)).client().trials("mine").to_dataframe()

    assert list(table["number"]) == [0, 1]
    assert list(table["optimizer"]) == ["adamw", None] or table["optimizer"].isna().tolist() == [False, True]
    assert table["initial_lr"][0] == CANDIDATE.initial_lr
    assert table.loc[0, ["params_lr", "rungs_10", "rungs_20"]].tolist() == [0.1, 0.9, 0.7]
    assert table["metrics_accuracy"].isna().tolist() == [True, False]
    assert table["value"].isna().tolist() == [False, True]


def test_a_table_of_no_trials_has_its_columns() -> None:
    """So that what is done with it does not fail before the first trial."""
    table = Script(page()).client().trials("mine").to_dataframe()

    assert len(table) == 0
    assert {"number", "state", "value", "optimizer", "initial_lr", "schedule"} <= set(table.columns)


def test_going_through_trials_again_reads_them_anew() -> None:
    """Nothing is out of date because it was looked at before."""
    trials = Script(page(trial_view(0)), page(trial_view(0), trial_view(1))).client().trials("mine")

    assert [len(list(trials)), len(list(trials))] == [1, 2]


def test_the_answers_schedule_is_drawn_by_the_studys_name() -> None:
    """One point an update, as the service has it."""
    script = Script(says({"steps": 3, "lr": [0.3, 0.2, 0.1]}))

    ax = script.client().plot_schedule("mine", 3)

    assert script.paths == ["GET /v1/studies/mine/best/curve?steps=3"]
    assert ax.lines[0].get_ydata().tolist() == [0.3, 0.2, 0.1]


def test_candidates_and_schedules_are_drawn_before_anything_is_trained() -> None:
    """A candidate at its own LR, a schedule in units of the initial LR."""
    script = Script(says({"lr": [0.1, 0.05]}), says({"lr": [1.0, 0.5]}))
    client = script.client()

    client.plot_schedule(CANDIDATE, 2)
    client.plot_schedule({"kind": "linear"}, 2)

    asked = [json.loads(request.content) for request in script.requests]
    assert [one["initial_lr"] for one in asked] == [CANDIDATE.initial_lr, 1.0]
    assert asked[0]["schedule"]["kind"] == CANDIDATE.schedule.kind
    assert asked[1]["schedule"] == {"kind": "linear"}


def test_a_schedule_without_a_length_is_refused() -> None:
    """Nothing is guessed."""
    with pytest.raises(InvalidSpec, match="total_steps"):
        Script().client().plot_schedule({"kind": "linear"})


def test_curves_are_those_of_the_best_trials() -> None:
    """Best first by the study's direction; a trial whose value is no number is left out."""
    reports = [Report(step=1, value=0.9), Report(step=2, value=0.4)]
    script = Script(
        says(study_view(direction="minimize")),
        page(trial_view(0, 0.5), trial_view(1, 0.4), trial_view(2, math.nan), trial_view(3, 0.6)),
        says(trial_view(1, 0.4, curve=reports)),
        says(trial_view(0, 0.5, curve=reports)),
    )

    ax = script.client().plot_curves("mine", most=2)

    assert [line.get_label().split(":")[0] for line in ax.lines] == ["1", "0"]
    assert ax.lines[0].get_xydata().tolist() == [[1.0, 0.9], [2.0, 0.4]]
