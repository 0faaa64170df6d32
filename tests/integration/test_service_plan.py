"""`?dry_run=true` over HTTP on both databases: what past studies of the task say goes into the plan."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from search_spaces.baselines import BASELINES
from search_spaces.results import Answer, Arm, Evidence
from search_spaces.work import Announcement
from service.app import create_app
from service.settings import Settings
from store import Store
from store.studies import begin_confirmation, conclude, list_studies
from store.verbs import SqlVerbs
from store.workers import announce
from tests.studies import OFFER, add_proposals, claim, finish, run_study

MINE: dict[str, Any] = {"name": "mine", "task": {"name": "nothing"}, "confirmation": {"seeds": 5}}


@pytest.fixture
def api(store: Store) -> Iterator[TestClient]:
    announce(store, "w1", Announcement(slots=4, tasks=[OFFER]))
    with TestClient(create_app(store, Settings()), base_url="http://127.0.0.1") as client:
        yield client


def plan(api: httpx.Client, **fields: Any) -> Any:
    response = api.post("/v1/studies?dry_run=true", json=MINE | fields)
    assert response.status_code == 200, response.text
    return response.json()


def earlier(store: Store, **fields: Any) -> None:
    """A study of the task that is done: 3 s a training, a noise of 0.1 between seeds."""
    run_study(store, "earlier", **fields)
    add_proposals(store, "earlier", count=2)
    verbs = SqlVerbs(store)
    for trial in claim(verbs, count=2):
        finish(verbs, trial, worker_seconds=3.0)
    begin_confirmation(store, "earlier")
    values = [{0: 1.0, 1: 1.1, 2: 1.2}, {0: 2.2, 1: 2.1, 2: 2.0}]
    known: dict[str, Any] = {"role": "candidate", "candidate": BASELINES["adam-constant"]}
    arms = [Arm(name=str(place), values=row, **known) for place, row in enumerate(values)]
    evidence = Evidence(arms=arms)
    conclude(store, "earlier", Answer(study="earlier", status="final", sentence="", horizon=100, evidence=evidence))


def test_without_a_past_nothing_is_made_up(api: httpx.Client, store: Store) -> None:
    """Trainings are counted, seconds and detection are null, and nothing is stored."""
    found = plan(api)

    assert (found["workers"], found["slots"]) == (1, 4)
    assert found["trainings"]["seeds"] == 5
    assert found["trainings"]["search"] < 64
    assert (found["seconds"], found["detects"], found["warnings"]) == (None, None, [])
    assert list_studies(store).items == []


def test_past_trials_and_confirmations_tell_cost_and_detection(api: httpx.Client, store: Store) -> None:
    """3 s a training over the same horizon; a noise of 0.1 by the pooled arms of the earlier confirmation."""
    earlier(store)

    found = plan(api)

    seconds, detects = found["seconds"], found["detects"]
    assert seconds["training"] == pytest.approx(3.0)
    assert seconds["total"] == pytest.approx(3 * (found["trainings"]["search"] + found["trainings"]["confirmation"]))
    assert (seconds["wall"], seconds["source"]) == (seconds["total"], "2 past trials of the task over 100 steps")
    assert detects["noise"] == pytest.approx(0.1)
    assert detects["source"] == "the confirmation of earlier"
    assert detects["gain"] > 0.1


def test_a_study_of_other_parameters_tells_nothing(api: httpx.Client, store: Store) -> None:
    """Another noise level is another task."""
    earlier(store, task={"name": "nothing", "params": {"noise": 2}})

    found = plan(api)

    assert (found["seconds"], found["detects"]) == (None, None)


def test_a_hope_below_what_can_be_seen_is_warned_of(api: httpx.Client, store: Store) -> None:
    """`objective.min_gain` is accepted; the warning names the smallest gain and the seeds that it would take."""
    earlier(store)

    hopeful = plan(api, objective={"min_gain": 0.001})
    modest = plan(api, objective={"min_gain": 10.0})
    submitted = api.post("/v1/studies", json=MINE | {"objective": {"min_gain": 0.001}})

    assert [
        warning for warning in hopeful["warnings"] if "objective.min_gain is 0.001" in warning and "seeds" in warning
    ]
    assert modest["warnings"] == []
    assert submitted.status_code == 201
    assert submitted.json()["spec"]["objective"]["min_gain"] == 0.001


def test_limits_that_will_not_do_are_warned_of(api: httpx.Client, store: Store) -> None:
    """Worker-seconds and a deadline are held against what the study is expected to take."""
    earlier(store)

    found = plan(api, budget={"trials": 64, "worker_seconds": 5, "deadline": "2999-01-01T00:00:00Z"})

    assert any("budget.worker_seconds is 5" in warning for warning in found["warnings"])
    assert not any("deadline" in warning for warning in found["warnings"])


def test_measured_seconds_go_before_past_ones(api: httpx.Client, store: Store) -> None:
    """`step_seconds` is a worker's for one update; a senseless one is refused with its name."""
    earlier(store)

    measured = api.post("/v1/studies?dry_run=true&step_seconds=0.5", json=MINE).json()
    wrong = api.post("/v1/studies?dry_run=true&step_seconds=-1", json=MINE)

    assert measured["seconds"]["training"] == 50.0
    assert (wrong.status_code, wrong.json()["field"]) == (422, "step_seconds")


def test_an_unknown_task_is_planned_as_queued(api: httpx.Client) -> None:
    """What is not known is null, and the warning says what is missing."""
    found = plan(api, task={"name": "unknown"})

    assert (found["state"], found["trainings"]) == ("queued", None)
    assert "no worker has offered the task unknown" in found["warnings"][0]
