"""The answer as code, over HTTP: what is served is what the answer says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest
import torch

from search_spaces.export import Framework
from service.coordinator import Coordinator
from store import Store, open_store
from tests.integration.service_http import serving
from tests.integration.service_simulation import drive, simulated
from tests.integration.test_service_studies import MINE, announce
from tests.studies import OFFER

SMALL = MINE | {"budget": {"trials": 4}, "confirmation": {"seeds": 2}}
CODE = "/v1/studies/mine/best/code"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    directory: Path = tmp_path_factory.mktemp("code")
    opened = open_store(f"sqlite:///{directory / 'etude.db'}")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def api(store: Store) -> Iterator[httpx.Client]:
    """An API whose study `mine` is done."""
    with serving(store) as client:
        announce(client, OFFER)
        assert client.post("/v1/studies", json=SMALL).status_code == 201
        coordinator = Coordinator(store, owner="tests")
        drive(store, simulated(store), "mine", coordinator=lambda: coordinator)
        yield client


@pytest.mark.parametrize("steps", [None, 40])
def test_the_code_draws_the_answer_s_curve(api: httpx.Client, steps: int | None) -> None:
    """Executed, the default text gives the LR of /best/curve at every update, at the study's horizon or another."""
    params = {} if steps is None else {"steps": steps}
    expected = api.get("/v1/studies/mine/best/curve", params=params).json()["lr"]

    response = api.get(CODE, params=params)
    defined: dict[str, Any] = {}
    exec(response.text, defined)
    optimizer, scheduler = defined["build"]([torch.nn.Parameter(torch.zeros(2))])
    drawn = []
    for _ in expected:
        drawn.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()

    assert response.headers["Content-Type"] == "text/x-python; charset=utf-8"
    assert drawn == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("framework", get_args(Framework))
def test_every_framework_gets_a_text(api: httpx.Client, framework: str) -> None:
    """It is Python."""
    response = api.get(CODE, params={"framework": framework})

    assert response.status_code == 200
    compile(response.text, framework, "exec")


def test_an_unknown_framework_is_refused_by_name(api: httpx.Client) -> None:
    """422 with the field; the answer lists what there is."""
    response = api.get(CODE, params={"framework": "caffe"})

    assert (response.status_code, response.json()["field"]) == (422, "framework")
    assert "keras" in response.json()["detail"]


def test_no_code_before_an_answer(store: Store) -> None:
    """409 while nothing is complete, 404 where there is no study."""
    with serving(store) as api:
        api.post("/v1/studies", json=SMALL | {"name": "early"})

        early = api.get("/v1/studies/early/best/code")
        nowhere = api.get("/v1/studies/nowhere/best/code")

    assert (early.status_code, early.json()["code"]) == (409, "conflict")
    assert (nowhere.status_code, nowhere.json()["code"]) == (404, "not_found")
