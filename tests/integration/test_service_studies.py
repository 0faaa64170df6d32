"""Studies over HTTP: submitted, refused with the field, listed, changed, deleted."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from search_spaces.work import OfferedTask
from store import Store, open_store
from store.studies import list_studies
from tests.integration.service_http import serving
from tests.studies import OFFER

MINE: dict[str, Any] = {"name": "mine", "task": {"name": "nothing"}, "budget": {"trials": 24}}
COSINE = {"kind": "cosine"}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path / 'etude.db'}")
    yield opened
    opened.close()


@pytest.fixture
def api(store: Store) -> Iterator[httpx.Client]:
    with serving(store) as client:
        yield client


@pytest.fixture
def offered(api: httpx.Client) -> httpx.Client:
    """The API after a worker has offered the made-up task."""
    announce(api, OFFER)
    return api


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx.Client, Store]]:
    """An API that has an offer, and its store, for the requests that must store nothing."""
    opened = open_store(f"sqlite:///{tmp_path_factory.mktemp('untouched') / 'etude.db'}")
    with serving(opened) as client:
        announce(client, OFFER)
        yield client, opened
    opened.close()


def announce(api: httpx.Client, offer: OfferedTask) -> None:
    body = {"slots": 2, "tasks": [offer.model_dump(mode="json")]}
    assert api.put("/v1/workers/w1", json=body).status_code == 204


def candidate(**fields: Any) -> dict[str, Any]:
    return {"optimizer": {"kind": "sgd"}, "initial_lr": 0.1, "schedule": COSINE} | fields


def test_a_study_of_an_offered_task_runs_at_once(offered: httpx.Client) -> None:
    """201 with its Location; metric, direction and horizon are the offer's."""
    response = offered.post("/v1/studies", json=MINE)

    body = response.json()
    assert response.status_code == 201
    assert response.headers["Location"] == "/v1/studies/mine"
    assert (body["state"], body["metric"], body["direction"], body["horizon_steps"]) == (
        "running", "loss", "minimize", 100,
    )  # fmt: skip
    assert offered.get("/v1/studies/mine").json()["name"] == "mine"


def test_a_study_of_an_unknown_task_is_queued(api: httpx.Client) -> None:
    """Nobody has offered its task yet: it waits."""
    assert api.post("/v1/studies", json=MINE).json()["state"] == "queued"


WRONG = {
    "an unknown field": ({"trails": 3}, "trails", "no such field"),
    "an unknown field inside": ({"budget": {"trails": 3}}, "budget.trails", "no such field"),
    "a missing field": ({"task": {}}, "task.name", "required"),
    "an unknown schedule in the space": (
        {"space": {"schedules": ["zigzag"]}}, "space.schedules.zigzag", "cosine",
    ),
    "an unknown optimizer in the space": (
        {"space": {"optimizers": {"sgdm": {}}}}, "space.optimizers.sgdm", "adamw",
    ),
    "an unknown preset": ({"space": {"preset": "all"}}, "space.preset", "general"),
    "an unknown kind of schedule": (
        {"current": candidate(schedule={"kind": "zigzag"})}, "current.schedule.kind", "'cosine'",
    ),
    "an unknown kind of optimizer": (
        {"current": candidate(optimizer={"kind": "sgdm"})}, "current.optimizer.kind", "'adamw'",
    ),
    "an unknown baseline": (
        {"confirmation": {"baselines": ["mine"]}}, "confirmation.baselines", "sgd-cosine",
    ),
    "low above high": (
        {"space": {"optimizers": {"sgd": {"lr": {"low": 1, "high": 0.1}}}}},
        "space.optimizers.sgd.lr",
        "low 1.0 is above high 0.1",
    ),
    "a value where a range is meant": (
        {"space": {"optimizers": {"sgd": {"nesterov": False}}}}, "space.optimizers.sgd.nesterov", '{"choices": [...]}',
    ),
    "a value where an object is meant": ({"budget": 3}, "budget", "an object is meant"),
    "a negative LR": ({"current": candidate(initial_lr=-0.1)}, "current.initial_lr", "greater than 0"),
    "a negative LR in a range": (
        {"space": {"optimizers": {"sgd": {"lr": {"low": -1, "high": 0.1}}}}},
        "space.optimizers.sgd.lr",
        "above 0",
    ),
    "a milestone above 1": (
        {"current": candidate(schedule={"kind": "multistep", "milestones": [0.5, 1.5], "gamma": 0.1})},
        "current.schedule.milestones.1",
        "less than or equal to 1",
    ),
    "a milestone of 0": (
        {"current": candidate(schedule={"kind": "multistep", "milestones": [0], "gamma": 0.1})},
        "current.schedule.milestones.0",
        "greater than 0",
    ),
    "a horizon of 0 steps": ({"horizon": {"steps": 0}}, "horizon.steps", "greater than or equal to 1"),
    "a horizon of 0 epochs": ({"horizon": {"epochs": 0}}, "horizon.epochs", "greater than or equal to 1"),
    "two horizons": ({"horizon": {"epochs": 1, "steps": 1}}, "horizon", "not both"),
    "a budget of 0": ({"budget": {"trials": 0}}, "budget.trials", "greater than or equal to 1"),
    "a name in capitals": ({"name": "Mine"}, "name", "pattern"),
    "the name of a confirmation": ({"name": "mine.confirmation"}, "name", "confirmation"),
    "another metric than the task's": ({"objective": {"metric": "f1"}}, "objective.metric", "loss"),
    "another direction": ({"objective": {"direction": "maximize"}}, "objective.direction", "minimize"),
    "a parameter that the task does not have": (
        {"task": {"name": "nothing", "params": {"noise": 1}}}, "task.params.noise", "no parameter",
    ),
    "one seed": ({"confirmation": {"seeds": 1}}, "confirmation.seeds", "greater than or equal to 2"),
    "`current` as a baseline where there is none": (
        {"confirmation": {"baselines": ["current"]}}, "confirmation.baselines", "no `current`",
    ),
    "a group that the task does not name": (
        {"current": candidate(lr_ratios={"backbone": 0.1})}, "current.lr_ratios", "backbone",
    ),
    "a warm start from a study that is not there": (
        {"warm_start": {"studies": ["other"]}}, "warm_start.studies.0", "no study named other",
    ),
    "a limit, which is of a later version": (
        {"limits": {"trial_seconds": 5}}, "limits.trial_seconds", "not part of this version",
    ),
    "one name where a list is meant": ({"space": {"optimizers": "sgd"}}, "space.optimizers", "list"),
    "text for a number": ({"budget": {"trials": "many"}}, "budget.trials", "integer"),
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_spec_is_refused_with_its_field(untouched: tuple[httpx.Client, Store], wrong: str) -> None:
    """422 problem+json names the field and the reason, and nothing is stored."""
    offered, store = untouched
    change, field, words = WRONG[wrong]

    response = offered.post("/v1/studies", json=MINE | change)

    problem = response.json()
    assert response.headers["Content-Type"] == "application/problem+json"
    assert (response.status_code, problem["status"], problem["code"]) == (422, 422, "invalid_spec")
    assert problem["field"] == field
    assert words in problem["detail"]
    assert list_studies(store).items == []


SHORT = {
    "a space with warm-up": ({"horizon": {"steps": 1}}, "space.warmup.fraction", 2),
    "a candidate of the user's": (
        {"horizon": {"steps": 5}, "current": candidate(schedule={"kind": "one_cycle", "peak_fraction": 0.1})},
        "current.schedule.peak_fraction",
        11,
    ),
}


@pytest.mark.parametrize("short", SHORT)
def test_a_horizon_too_short_says_what_would_do(untouched: tuple[httpx.Client, Store], short: str) -> None:
    """422 `horizon_too_short` carries the least number of steps, and nothing is stored."""
    offered, store = untouched
    change, field, least = SHORT[short]
    space = {"schedules": ["constant", "cosine"]}

    response = offered.post("/v1/studies", json=MINE | {"space": space} | change)

    problem = response.json()
    assert (response.status_code, problem["code"]) == (422, "horizon_too_short")
    assert (problem["field"], problem["least_steps"]) == (field, least)
    assert list_studies(store).items == []


def test_a_task_without_its_data_is_refused(api: httpx.Client, store: Store) -> None:
    """422 `not_available` with the worker's own reason."""
    announce(api, OFFER.model_copy(update={"available": False, "reason": "run `make data`"}))

    response = api.post("/v1/studies", json=MINE)

    assert (response.status_code, response.json()["code"]) == (422, "not_available")
    assert response.json()["detail"] == "run `make data`"
    assert list_studies(store).items == []


def test_a_wrong_name_is_refused_even_while_the_task_is_unknown(api: httpx.Client, store: Store) -> None:
    """A schedule that does not exist cannot become right by an offer."""
    response = api.post("/v1/studies", json=MINE | {"space": {"schedules": ["zigzag"]}})

    assert response.json()["field"] == "space.schedules.zigzag"
    assert list_studies(store).items == []


def test_a_name_is_given_once(offered: httpx.Client) -> None:
    """409 `name_taken` for another study of the name."""
    offered.post("/v1/studies", json=MINE)

    response = offered.post("/v1/studies", json=MINE)

    assert (response.status_code, response.json()["code"]) == (409, "name_taken")
    assert response.json()["field"] == "name"


def test_a_repeated_request_gets_the_same_study(offered: httpx.Client) -> None:
    """The same Idempotency-Key and spec make one study; with another spec it is a conflict."""
    headers = {"Idempotency-Key": "k1"}
    first = offered.post("/v1/studies", json=MINE, headers=headers)

    second = offered.post("/v1/studies", json=MINE, headers=headers)
    other = offered.post("/v1/studies", json=MINE | {"seed": 1}, headers=headers)

    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["created_at"] == second.json()["created_at"]
    assert (other.status_code, other.json()["code"]) == (409, "conflict")


def test_a_repeated_request_is_answered_after_its_deadline(offered: httpx.Client) -> None:
    """The study was made in time: the same key gets it again, 201 with the same body, and another key does not."""
    soon = datetime.now(UTC) + timedelta(seconds=2)
    late = MINE | {"budget": {"trials": 24, "deadline": soon.isoformat()}}
    first = offered.post("/v1/studies", json=late, headers={"Idempotency-Key": "k1"})
    threading.Event().wait(max(0.0, (soon - datetime.now(UTC)).total_seconds()) + 0.01)

    second = offered.post("/v1/studies", json=late, headers={"Idempotency-Key": "k1"})
    other = offered.post("/v1/studies", json=late | {"name": "other"}, headers={"Idempotency-Key": "k2"})

    assert (first.status_code, second.status_code) == (201, 201)
    assert (second.json(), second.headers["Location"]) == (first.json(), "/v1/studies/mine")
    assert (other.status_code, other.json()["field"]) == (422, "budget.deadline")


def test_a_deadline_in_the_past_is_refused(offered: httpx.Client) -> None:
    """PATCH names the field, and the budget stays."""
    offered.post("/v1/studies", json=MINE)

    response = offered.patch("/v1/studies/mine", json={"budget": {"deadline": "2020-01-01T00:00:00Z"}})

    assert (response.status_code, response.json()["field"]) == (422, "budget.deadline")
    assert offered.get("/v1/studies/mine").json()["budget"]["deadline"] is None


def test_a_dry_run_plans_and_stores_nothing(offered: httpx.Client, store: Store) -> None:
    """200 with the resolved space, the first trials and the confirmation's size."""
    response = offered.post("/v1/studies?dry_run=true", json=MINE)

    plan = response.json()
    assert response.status_code == 200
    assert (plan["state"], plan["horizon_steps"], plan["rungs"]) == ("running", 100, [10, 20, 30, 50])
    assert plan["first_trials"][0] == {"name": "sgd-cosine", "lr_factor": 1.0}
    assert plan["confirmation_trainings"] == 5 * 9
    assert list_studies(store).items == []


def test_studies_are_listed_in_pages(offered: httpx.Client) -> None:
    """Newest first, by tag and by state, with a cursor to the next page."""
    for number in range(3):
        offered.post("/v1/studies", json=MINE | {"name": f"s{number}", "tags": ["odd"] if number % 2 else []})

    first = offered.get("/v1/studies", params={"limit": 2}).json()
    rest = offered.get("/v1/studies", params={"cursor": first["next_cursor"]}).json()
    odd = offered.get("/v1/studies", params={"tag": "odd", "state": "running"}).json()

    assert [item["name"] for item in first["items"]] == ["s2", "s1"]
    assert ([item["name"] for item in rest["items"]], rest["next_cursor"]) == (["s0"], None)
    assert [item["name"] for item in odd["items"]] == ["s1"]


def test_a_study_is_paused_resumed_extended_and_stopped(offered: httpx.Client) -> None:
    """PATCH takes one change at a time; what the budget's change leaves out stays as it was."""
    offered.post("/v1/studies", json=MINE | {"budget": {"trials": 24, "worker_seconds": 500}})

    paused = offered.patch("/v1/studies/mine", json={"state": "paused"}).json()
    running = offered.patch("/v1/studies/mine", json={"state": "running"}).json()
    extended = offered.patch("/v1/studies/mine", json={"budget": {"trials": 30}}).json()
    urgent = offered.patch("/v1/studies/mine", json={"priority": 5})
    stopped = offered.patch("/v1/studies/mine", json={"state": "stopped", "reason": "enough"}).json()

    assert (paused["state"], running["state"], stopped["state"]) == ("paused", "running", "stopped")
    assert (extended["budget"]["trials"], extended["budget"]["worker_seconds"]) == (30, 500)
    assert urgent.status_code == 200
    assert stopped["reason"] == "enough"


@pytest.mark.parametrize("change", [{}, {"state": "paused", "priority": 1}, {"state": None}, {"reason": "x"}])
def test_a_change_is_one_change(offered: httpx.Client, change: dict[str, Any]) -> None:
    """None, or two at once, are refused with 422."""
    offered.post("/v1/studies", json=MINE)

    assert offered.patch("/v1/studies/mine", json=change).status_code == 422


def test_what_cannot_be_changed_is_a_conflict(offered: httpx.Client) -> None:
    """A stopped study does not run again, and a budget does not shrink."""
    offered.post("/v1/studies", json=MINE)

    shrunk = offered.patch("/v1/studies/mine", json={"budget": {"trials": 3}})
    offered.patch("/v1/studies/mine", json={"state": "stopped"})
    again = offered.patch("/v1/studies/mine", json={"state": "running"})

    assert (shrunk.status_code, shrunk.json()["field"]) == (409, "budget.trials")
    assert (again.status_code, again.json()["code"]) == (409, "conflict")


def test_a_deleted_study_is_gone(offered: httpx.Client) -> None:
    """204, then 404; the name is free again."""
    offered.post("/v1/studies", json=MINE)

    deleted = offered.delete("/v1/studies/mine")

    assert (deleted.status_code, deleted.content) == (204, b"")
    assert offered.get("/v1/studies/mine").json()["code"] == "not_found"
    assert offered.post("/v1/studies", json=MINE).status_code == 201
