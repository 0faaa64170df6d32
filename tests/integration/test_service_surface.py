"""What surrounds the routes: health, the start page, the catalogue, limits, request ids, OpenAPI."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import optuna
import pytest

from search_spaces.optimizers import BUILDABLE
from search_spaces.problems import StoreUnavailable
from search_spaces.schedules import FAMILIES, Cosine, curve
from service.app import create_app
from service.dashboard import dashboard_application, dashboard_server
from service.settings import Settings
from store import Store, open_store
from store.coordinators import beat
from tests.integration.service_http import serving
from tests.studies import stock_storage

REFERENCE = "#/components/schemas/"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path / 'etude.db'}")
    yield opened
    opened.close()


@pytest.fixture
def api(store: Store) -> Iterator[httpx.Client]:
    with serving(store) as client:
        yield client


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """An API whose store is empty, for requests that change nothing."""
    opened = open_store(f"sqlite:///{tmp_path_factory.mktemp('idle') / 'etude.db'}")
    with serving(opened) as client:
        yield client
    opened.close()


def test_readiness_follows_the_store(api: httpx.Client, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """503 `store_unavailable` while the store does not answer, 200 once it does; liveness stays."""

    def away() -> None:
        raise StoreUnavailable("the database is away")

    with monkeypatch.context() as outage:
        outage.setattr(store, "read", away)
        gone = api.get("/readyz")
    beat(store, "somewhere", 0)
    back = api.get("/readyz").status_code

    assert back == 200
    assert (gone.status_code, gone.json()["code"], gone.headers["Retry-After"]) == (503, "store_unavailable", "1")
    assert api.get("/healthz").json() == {"status": "ok"}


def test_the_catalogue_shows_what_there_is(idle: httpx.Client) -> None:
    """Every family with formula, source and JSON Schema; every optimizer that can be built; every preset."""
    schedules = idle.get("/v1/schedules").json()["items"]
    optimizers = idle.get("/v1/optimizers").json()["items"]
    presets = idle.get("/v1/presets").json()["items"]

    assert [entry["kind"] for entry in schedules] == list(FAMILIES)
    assert all(entry["formula"] and entry["source"] for entry in schedules)
    assert all(entry["json_schema"]["type"] == "object" for entry in schedules)
    assert {entry["kind"] for entry in optimizers} == BUILDABLE
    assert [e["from_trials"] for e in presets if e["name"] == "general"] == [1, 17, 65]
    assert idle.get("/v1/schedules/cosine").json() == schedules[list(FAMILIES).index("cosine")]
    assert idle.get("/v1/schedules/zigzag").json()["code"] == "not_found"
    assert idle.get("/v1/tasks").json()["items"] == []


def test_a_preview_is_the_schedule_s_curve(idle: httpx.Client) -> None:
    """The numbers are those of the schedule itself, times the initial LR."""
    wish = {"schedule": {"kind": "cosine"}, "initial_lr": 0.1, "total_steps": 50}

    lr = idle.post("/v1/schedules/preview", json=wish).json()["lr"]

    np.testing.assert_allclose(lr, 0.1 * curve(Cosine(), 50), rtol=1e-12)


def test_a_preview_is_drawn_where_a_picture_is_accepted(idle: httpx.Client) -> None:
    """Accept: image/svg+xml gives the plot."""
    wish = {"schedule": {"kind": "cosine"}, "initial_lr": 0.1, "total_steps": 50}

    picture = idle.post("/v1/schedules/preview", json=wish, headers={"Accept": "image/svg+xml"})

    assert picture.headers["Content-Type"] == "image/svg+xml"
    assert "</svg>" in picture.text


def test_a_preview_of_plateau_follows_metrics(idle: httpx.Client) -> None:
    """With metrics the LR falls where they stop getting better; without, 422 asks for them."""
    wish = {"schedule": {"kind": "plateau", "patience": 0.0, "factor": 0.1}, "initial_lr": 1, "total_steps": 4}

    drawn = idle.post("/v1/schedules/preview", json=wish | {"metrics": [2.0, 1.0, 1.0, 1.0]})
    refused = idle.post("/v1/schedules/preview", json=wish)

    assert drawn.json()["lr"] == [1.0, 1.0, 1.0, 0.1]
    assert (refused.status_code, refused.json()["field"]) == (422, "metrics")


@pytest.mark.parametrize("streamed", [False, True])
def test_a_body_above_one_mebibyte_is_refused(idle: httpx.Client, streamed: bool) -> None:
    """413 `too_large`, whether the size is announced or not."""
    body = b" " * (1024 * 1024 + 1)
    content: Any = iter([body[:600_000], body[600_000:]]) if streamed else body

    response = idle.post("/v1/studies", content=content, headers={"Content-Type": "application/json"})

    assert (response.status_code, response.json()["code"]) == (413, "too_large")
    assert response.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/nothing", 404, "not_found"),
        ("GET", "/v1/studies/none", 404, "not_found"),
        ("GET", "/v1/studies/none/best", 404, "not_found"),
        ("GET", "/v1/studies/none/trials/0", 404, "not_found"),
        ("PATCH", "/healthz", 405, "method_not_allowed"),
        ("POST", "/v1/studies", 422, "invalid_spec"),
        ("GET", "/v1/studies?limit=0", 422, "invalid_spec"),
        ("GET", "/v1/studies/none/trials?state=odd", 422, "invalid_spec"),
    ],
)
def test_every_error_is_a_problem(idle: httpx.Client, method: str, path: str, status: int, code: str) -> None:
    """problem+json with a stable code, the framework's own errors too."""
    response = idle.request(method, path)

    problem = response.json()
    assert response.headers["Content-Type"] == "application/problem+json"
    assert (response.status_code, problem["status"], problem["code"]) == (status, status, code)
    assert problem["request_id"] == response.headers["X-Request-Id"]


@pytest.mark.parametrize("body", [b"{", b"[]", b"", b'"text"'])
def test_a_body_that_is_no_object_is_refused_in_plain_words(idle: httpx.Client, body: bytes) -> None:
    """422 says what a body has to be."""
    response = idle.post("/v1/studies", content=body, headers={"Content-Type": "application/json"})

    assert response.status_code == 422
    assert "JSON object" in response.json()["detail"]


def test_a_defect_is_an_internal_error_with_the_request_s_id(
    api: httpx.Client, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """500 `internal_error` tells nothing of the inside but the id under which the log has it."""

    def broken() -> None:
        raise RuntimeError("a secret path")

    monkeypatch.setattr(store, "read", broken)
    response = api.get("/readyz", headers={"X-Request-Id": "mine-1"})

    assert (response.status_code, response.json()["code"]) == (500, "internal_error")
    assert response.json()["request_id"] == response.headers["X-Request-Id"] == "mine-1"
    assert "secret" not in response.text


def test_a_request_id_that_could_forge_a_log_line_is_replaced(idle: httpx.Client) -> None:
    """Only plain ids of the client's are kept."""
    response = idle.get("/healthz", headers={"X-Request-Id": "a b"})

    assert len(response.headers["X-Request-Id"]) == 32


def test_the_openapi_document_holds_together(idle: httpx.Client) -> None:
    """Version 3.1, every reference resolves, every operation has an id of its own, and the surface is there."""
    document = idle.get("/openapi.json").json()

    operations = [op for path in document["paths"].values() for op in path.values()]
    ids = [operation["operationId"] for operation in operations]
    used = {part.split('"')[0] for part in json.dumps(document).split(REFERENCE)[1:]}
    assert document["openapi"].startswith("3.1")
    assert len(ids) == len(set(ids))
    assert used <= set(document["components"]["schemas"])
    assert document["paths"].keys() >= {
        "/v1/studies", "/v1/studies/{name}", "/v1/studies/{name}/trials", "/v1/studies/{name}/trials/{number}",
        "/v1/studies/{name}/trials/{number}/reports", "/v1/studies/{name}/trials/{number}/result",
        "/v1/studies/{name}/best", "/v1/studies/{name}/best/curve", "/v1/studies/{name}/best/curve.svg",
        "/v1/studies/{name}/best/curve.csv", "/v1/work/claim", "/v1/work/renew", "/v1/work/report",
        "/v1/work/finish", "/v1/work/release", "/v1/schedules", "/v1/schedules/{kind}", "/v1/optimizers",
        "/v1/presets", "/v1/tasks", "/v1/schedules/preview", "/v1/workers", "/v1/workers/{worker}",
        "/healthz", "/readyz", "/metrics",
    }  # fmt: skip


def test_others_are_answered_while_the_document_is_made(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes over a second, once."""
    app = create_app(store, Settings())
    asked, made = threading.Event(), threading.Event()

    def slowly() -> dict[str, Any]:
        asked.set()
        assert made.wait(30)
        return {"openapi": "3.1.0"}

    monkeypatch.setattr(app, "openapi", slowly)
    found: list[Any] = []
    with serving(store, app) as client, httpx.Client(base_url=client.base_url, trust_env=False, timeout=60) as other:
        reader = threading.Thread(target=lambda: found.append(other.get("/openapi.json").json()))
        reader.start()
        assert asked.wait(30)

        alive = client.get("/healthz").status_code

        made.set()
        reader.join(30)

    assert (alive, found) == (200, [{"openapi": "3.1.0"}])


def test_the_dashboard_shows_the_store_and_changes_nothing(store: Store) -> None:
    """The page and its data are served, a POST is 405 with the store as it was; each answer has an id, and is counted.

    Its tables hold no formula.
    """
    with stock_storage(store.url) as storage:
        optuna.create_study(storage=storage, study_name="mine").add_trial(
            optuna.create_trial(value=-0.5, user_attrs={"error": "=1+1"})
        )
    server = dashboard_server(dashboard_application(store.url), "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    base = f"http://127.0.0.1:{server.server_port}"

    with httpx.Client(base_url=base, trust_env=False) as client:
        page, studies = client.get("/dashboard"), client.get("/api/studies")
        made = client.post("/api/studies", json={"study_name": "x", "directions": ["minimize"]})
        after = client.get("/api/studies", headers={"X-Request-Id": "mine"})
        table = client.get("/csv/1").text
        page_of_metrics = client.get("/metrics").text
    server.shutdown()
    thread.join(10)
    server.server_close()

    assert (page.status_code, made.status_code) == (200, 405)
    assert studies.json() == after.json()
    assert [study["study_name"] for study in after.json()["study_summaries"]] == ["mine"]
    assert after.headers["X-Request-Id"] == "mine"
    assert table.splitlines()[1:] == ["0,COMPLETE,-0.5,'=1+1"]
    assert 'etude_http_requests_total{method="GET",route="/api/studies",status="200"} 2.0' in page_of_metrics


def test_the_page_of_the_api_shows_every_operation_and_asks_nobody_else(idle: httpx.Client) -> None:
    """With its scope and models, as text: it names no other host, and nothing in it runs but the theme's script."""
    page = idle.get("/docs")
    document = idle.get("/openapi.json").json()

    operations = [f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods]
    assert [operation for operation in operations if f"<code>{operation}</code>" not in page.text] == []
    assert [name for name in document["components"]["schemas"] if f'id="{name}"' not in page.text] == []
    assert "Scope <code>work</code>" in page.text
    assert re.findall(r"(?:src|href|url)\W{1,2}(?:https?:)?//[^'\"]*", page.text) == []
    assert "https:" not in page.headers["Content-Security-Policy"]
    assert idle.get("/redoc").status_code == 404
