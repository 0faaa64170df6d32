"""Time strings over HTTP: in a preview, and in the `current` of a study whose task is offered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from store import Store, open_store
from tests.integration.service_http import serving
from tests.integration.test_service_studies import MINE, announce
from tests.studies import OFFER

PREVIEW = "/v1/schedules/preview"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path / 'etude.db'}")
    yield opened
    opened.close()


@pytest.fixture
def api(store: Store) -> Iterator[httpx.Client]:
    """The API of a store in which OFFER's task is offered."""
    with serving(store) as client:
        announce(client, OFFER)
        yield client


def current(step_size: Any) -> dict[str, Any]:
    schedule = {"kind": "step", "step_size": step_size, "gamma": 0.1}
    return {"optimizer": {"kind": "sgd"}, "initial_lr": 0.1, "schedule": schedule}


def test_a_preview_takes_time_strings(api: httpx.Client) -> None:
    """30 epochs of 10 updates: the drop is at step 300."""
    schedule = {"kind": "step", "step_size": "30ep", "gamma": 0.1}
    wish = {"schedule": schedule, "initial_lr": 1.0, "total_steps": 500, "steps_per_epoch": 10}

    lr = api.post(PREVIEW, json=wish).json()["lr"]

    assert int(np.flatnonzero(np.array(lr) < 1)[0]) == 300


@pytest.mark.parametrize(
    ("written", "field"),
    [
        ({"kind": "step", "step_size": "30ep"}, "schedule.step_size"),
        ({"kind": "step", "step_size": "600ba"}, "schedule.step_size"),
        ({"kind": "cosine", "warmup": {"fraction": "soon"}}, "schedule.warmup.fraction"),
        ({"kind": "multistep", "milestones": ["1ba", "2xx"]}, "schedule.milestones.1"),
    ],
)
def test_a_wrong_one_is_a_422_with_its_field(api: httpx.Client, written: dict[str, Any], field: str) -> None:
    """As every wrong spec."""
    response = api.post(PREVIEW, json={"schedule": written, "initial_lr": 1.0, "total_steps": 500})

    assert (response.status_code, response.json()["code"], response.json()["field"]) == (422, "invalid_spec", field)


def test_a_preview_whose_length_is_wrong_is_refused_for_that(api: httpx.Client) -> None:
    """Without a horizon nothing can be counted; the horizon's own error comes with it."""
    wish = {"schedule": {"kind": "step", "step_size": "3ba"}, "initial_lr": 1.0, "total_steps": "many"}

    response = api.post(PREVIEW, json=wish)

    assert response.status_code == 422
    assert "total_steps" in {row["field"] for row in response.json()["errors"]}


def test_current_takes_time_strings_of_the_offer_s_epochs(api: httpx.Client) -> None:
    """One epoch of the offered task becomes its share of the study's horizon, and is stored as a fraction."""
    horizon = OFFER.horizon
    share = 1 / horizon.epochs

    answer = api.post("/v1/studies", json=MINE | {"current": current("1ep")})

    assert answer.status_code == 201, answer.text
    assert answer.json()["spec"]["current"]["schedule"]["step_size"] == pytest.approx(share)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"current": current("1000000ba")}, "current.schedule.step_size"),
        ({"current": current("soon")}, "current.schedule.step_size"),
        ({"current": current("1ba"), "task": {"name": "unheard-of"}}, "current.schedule"),
        ({"current": current(7)}, "current.schedule.step_size"),
        ({"current": current(0.5) | {"colour": 1}}, "current.colour"),
        ({"current": {}}, "current.optimizer"),
        ({"current": 3}, "current"),
    ],
)
def test_a_wrong_current_is_a_422_with_its_field(api: httpx.Client, fields: dict[str, Any], field: str) -> None:
    """Whether the time string is wrong or the candidate; nothing is stored."""
    response = api.post("/v1/studies", json=MINE | fields)

    assert (response.status_code, response.json()["field"]) == (422, field), response.text
    assert api.get("/v1/studies").json()["items"] == []


def test_an_unheard_task_with_a_horizon_takes_updates(api: httpx.Client) -> None:
    """The spec's own horizon is enough for ba and dur."""
    wish = MINE | {"current": current("50ba"), "task": {"name": "unheard-of"}, "horizon": {"steps": 200}}

    answer = api.post("/v1/studies", json=wish)

    assert answer.json()["spec"]["current"]["schedule"]["step_size"] == 0.25
