"""`etude plan`: what a study would do and cost, in words and as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from click.testing import Result

from search_spaces.plan import PlannedDetection, PlannedSeconds, PlannedTrainings, PlannedTrial, StudyPlan
from tests.unit.etude.answers import says

Etude = Callable[..., Result]
PLAN = StudyPlan(
    name="mine", state="running", metric="loss", direction="minimize", horizon_steps=510, rungs=[51], trials=64,
    first_trials=[PlannedTrial(name="sgd-cosine", lr_factor=1.0)], workers=2, slots=8,
    trainings=PlannedTrainings(search=32.6, tuning=3, confirmation=45, seeds=9, extras=45),
    seconds=PlannedSeconds(
        training=2.0, search=65.2, confirmation=96.0, extras=90.0, total=161.2, wall=80.6, source="64 past trials"
    ),
    detects=PlannedDetection(gain=0.03, noise=0.026, correlation=0.0, source="docs/tasks.md"),
    warnings=["objective.min_gain is 0.01, and this confirmation detects gains of at least 0.03"],
)  # fmt: skip


def lines(result: Result) -> str:
    return " ".join(result.output.split())


def test_a_plan_says_trainings_time_and_what_it_could_show(etude: Etude, table: dict[str, Any]) -> None:
    """Everything that is spent, with its source, and the warning last."""
    table["POST /v1/studies"] = says(PLAN)

    words = lines(etude("plan", "--task", "digits-noisy", "--name", "mine"))

    for said in (
        "mine would be running; nothing is submitted",
        "64 trials over 510 steps, 1 of them baselines; by loss, to minimize",
        "32.6 full-training equivalents in the search, 3 to tune baselines outside the space, "
        "45 in the confirmation on 9 seeds; at most 45 more after a winner",
        "2 s of worker time a full training, by 64 past trials",
        "2 min 41 s of worker time (1 min 5 s search, 1 min 36 s confirmation), "
        "1 min 30 s more at most after a winner; about 1 min 21 s with 2 live workers (8 trials at once)",
        "this confirmation detects gains of at least 0.03 in loss (noise between seeds 0.026, by docs/tasks.md)",
    ):
        assert said in words
    assert words.endswith("Warning: " + PLAN.warnings[0])


def test_what_is_not_known_is_said_to_be(etude: Etude, table: dict[str, Any]) -> None:
    """No cost, no noise, no worker: three sentences instead of numbers."""
    unknown = {"seconds": None, "detects": None, "workers": 0, "slots": 0, "warnings": []}
    table["POST /v1/studies"] = says(PLAN.model_copy(update=unknown))

    words = lines(etude("plan", "--task", "digits-noisy", "--name", "mine"))

    assert "not known: no past trial of the task tells it; --measure trains short ones" in words
    assert "not known: nothing tells how much seeds matter at this task and horizon" in words
    assert "not known; 0 live workers" in words


def test_a_plan_as_json_is_what_the_service_says(etude: Etude, table: dict[str, Any]) -> None:
    """Also by `submit --dry-run`, as before."""
    table["POST /v1/studies"] = says(PLAN)

    planned = etude("plan", "--task", "digits-noisy", "--json")
    dry = etude("submit", "--task", "digits-noisy", "--dry-run")

    assert StudyPlan.model_validate(json.loads(planned.stdout)) == PLAN
    assert json.loads(dry.stdout) == json.loads(planned.stdout)


def test_what_was_measured_goes_into_the_plan(
    etude: Etude, table: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plan is asked for again with the seconds of the short trial."""
    asked: list[httpx.URL] = []

    def plan(request: httpx.Request) -> httpx.Response:
        asked.append(request.url)
        return httpx.Response(200, text=PLAN.model_dump_json())

    table["POST /v1/studies"] = plan
    monkeypatch.setattr("etude.cli_submit.measured_step", lambda _client, _spec, horizon: 0.001 * horizon)

    result = etude("plan", "--task", "digits-noisy", "--measure")

    assert result.exit_code == 0
    assert [url.params.get("step_seconds") for url in asked] == [None, "0.51"]


def test_without_a_worker_nothing_can_be_measured(etude: Etude, table: dict[str, Any]) -> None:
    """It is refused at once instead of waiting for ever."""
    table["POST /v1/studies"] = says(PLAN.model_copy(update={"workers": 0}))

    result = etude("plan", "--task", "digits-noisy", "--measure")

    assert result.exit_code == 1
    assert "no live worker offers the task" in result.stderr
