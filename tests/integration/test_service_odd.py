"""Requests that nobody means, on both databases: refused with the field, and never a defect of the service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from store import Store
from tests.integration.service_http import serving
from tests.studies import OFFER, study_spec

JSON = {"Content-Type": "application/json"}
HELD = {"study": "mine", "number": 0, "lease": "x"}
CLAIM = {"worker": "w", "claim_id": "c", "tasks": [{"name": "nothing", "version": "1"}]}
OFFERED = OFFER.model_dump(mode="json")


def spec(**fields: Any) -> dict[str, Any]:
    return study_spec().model_dump(mode="json", exclude_unset=True) | fields


def verb(**fields: Any) -> dict[str, Any]:
    return {"worker": "w", "items": [HELD | fields]}


@pytest.fixture
def api(store: Store) -> Iterator[httpx.Client]:
    """An API that knows the offer of the made-up task and holds no study."""
    with serving(store) as client:
        client.put("/v1/workers/w", json={"tasks": [OFFERED]})
        yield client


UNSTORABLE: list[tuple[str, str, Any, str]] = [
    ("POST", "/v1/work/claim", CLAIM | {"worker": "a\0"}, "worker"),
    ("POST", "/v1/work/claim", CLAIM | {"study": "\ud800"}, "study"),
    ("POST", "/v1/work/claim", CLAIM | {"tasks": [{"name": "\0", "version": "1"}]}, "tasks.0.name"),
    ("POST", "/v1/work/renew", verb(lease="\0"), "items.0.lease"),
    ("POST", "/v1/work/report", verb(study="\udfff"), "items.0.study"),
    ("POST", "/v1/work/finish", verb(state="failed", error="\0"), "items.0.error"),
    ("POST", "/v1/work/finish", verb(state="complete", value=1, metrics={"a\0": 1}), "items.0.metrics.a?"),
    ("PUT", "/v1/workers/w", {"devices": ["cpu", "\ud800"]}, "devices.1"),
    ("PUT", "/v1/workers/a%00b", {}, "worker"),
    ("POST", "/v1/studies", spec(tags=["\0"]), "tags.0"),
    ("POST", "/v1/studies", spec(task={"name": "nothing", "params": {"a": ["\0"]}}), "task.params.a.0"),
    ("GET", "/v1/studies/%00", None, "name"),
    ("GET", "/v1/studies?tag=%00", None, "tag"),
]


def test_text_that_no_database_takes_is_refused_with_its_field(api: httpx.Client) -> None:
    """NUL and half surrogates, wherever they stand: in a path, a query, a value or a key, at any depth."""
    for method, path, body, field in UNSTORABLE:
        content = None if body is None else json.dumps(body)

        response = api.request(method, path, content=content, headers=JSON)

        assert (path, response.status_code) == (path, 422)
        assert (path, response.json().get("field")) == (path, field)


LARGE = 2**31
TOO_LARGE: list[tuple[str, str, Any, str]] = [
    ("POST", "/v1/work/renew", verb(number=LARGE), "items.0.number"),
    ("POST", "/v1/work/release", verb(number=-1), "items.0.number"),
    ("POST", "/v1/work/report", verb(reports=[{"step": LARGE, "value": 1}]), "items.0.reports.0.step"),
    ("POST", "/v1/work/finish", verb(state="failed", steps_done=LARGE), "items.0.steps_done"),
    ("POST", "/v1/studies/mine/trials/0/reports", {"lease": "x", "reports": [{"step": LARGE, "value": 1}]},
     "reports.0.step"),
    ("PUT", "/v1/studies/mine/trials/0/result", {"lease": "x", "state": "failed", "steps_done": LARGE}, "steps_done"),
    ("PUT", "/v1/workers/w", {"slots": LARGE}, "slots"),
    ("POST", "/v1/studies", spec(horizon={"steps": 10_000_001}), "horizon.steps"),
    ("POST", "/v1/studies", spec(horizon={"epochs": 10_000_000}), "horizon.epochs"),
    ("POST", "/v1/studies?dry_run=true&step_seconds=8e307", spec(), "step_seconds"),
]  # fmt: skip


def test_numbers_beyond_what_can_be_held_are_refused_with_their_field(api: httpx.Client) -> None:
    """A column's largest integer; a horizon whose LR at every step would fill the memory, in either unit."""
    for method, path, body, field in TOO_LARGE:
        response = api.request(method, path, json=body)

        assert (path, response.status_code) == (path, 422)
        assert (path, response.json().get("field")) == (path, field)


NOT_MEANT: list[tuple[str, str, Any, str]] = [
    ("POST", "/v1/studies", spec(budget={"deadline": "2020-01-01T00:00:00Z"}), "budget.deadline"),
    ("POST", "/v1/studies", spec(limits={"device": "cuda"}), "limits.device"),
    ("POST", "/v1/studies", spec(space={"warmup": "yes"}), "space.warmup"),
    ("POST", "/v1/studies", {"name": "mine", "task": {"name": "external"}}, "objective.metric"),
    ("POST", "/v1/work/finish", verb(state="complete"), "items.0.value"),
    ("PUT", "/v1/studies/mine/trials/0/result", {"lease": "x", "state": "complete"}, "value"),
    ("POST", "/v1/studies/mine/trials/x/reports", {"lease": "x"}, "number"),
    ("PUT", f"/v1/workers/{'w' * 201}", {}, "worker"),
]


def test_what_cannot_be_meant_is_refused_with_its_field(api: httpx.Client) -> None:
    """A time that has passed, a word for a flag, a value left out, a path beside a right body."""
    for method, path, body, field in NOT_MEANT:
        response = api.request(method, path, json=body)

        assert (path, response.status_code) == (path, 422)
        assert (path, response.json().get("field")) == (path, field)
    assert api.get("/v1/studies").json()["items"] == []


ENDLESS: list[tuple[str, str, Any, str]] = [
    ("POST", "/v1/studies", spec(task={"name": "nothing", "params": {"a": [float("nan")]}}), "task.params"),
    ("POST", "/v1/studies", spec(confirmation={"max_share": float("inf")}), "confirmation.max_share"),
    ("PUT", "/v1/workers/w", {"tasks": [OFFERED | {"params_schema": {"a": float("inf")}}]}, "tasks.0.params_schema"),
    ("POST", "/v1/work/report", verb(worker_seconds=1e308), "items.0.worker_seconds"),
]


def test_numbers_without_end_are_refused_where_they_mean_nothing(api: httpx.Client) -> None:
    """Python and others write NaN and Infinity where JSON has no such words."""
    for method, path, body, field in ENDLESS:
        response = api.request(method, path, content=json.dumps(body), headers=JSON)

        assert (path, response.status_code) == (path, 422)
        assert (path, response.json().get("field")) == (path, field)


@pytest.mark.parametrize(
    ("schedule", "field"),
    [
        ({"kind": "cosine", "restarts": {"count": 100}}, "schedule.restarts.count"),
        ({"kind": "script"}, "schedule.kind"),
        ({}, "schedule.kind"),
    ],
)
def test_a_preview_that_cannot_be_drawn_names_the_body_s_field(
    api: httpx.Client, schedule: dict[str, Any], field: str
) -> None:
    """422 where the schedule does not fit the steps, has no curve of its own, or has no kind."""
    response = api.post("/v1/schedules/preview", json={"schedule": schedule, "initial_lr": 1, "total_steps": 10})

    assert (response.status_code, response.json()["field"]) == (422, field)


@pytest.mark.parametrize("content", [b'{"name":"\xff"}', b"\xff\xfe", b"[" * 5000, b'{"seed":' + b"9" * 5000 + b"}"])
def test_a_body_that_cannot_be_read_is_the_sender_s_fault(api: httpx.Client, content: bytes) -> None:
    """4xx problem+json for what is no UTF-8, is nested without end, or holds a number without end."""
    response = api.post("/v1/studies", content=content, headers=JSON)

    assert 400 <= response.status_code < 500
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["status"] == response.status_code


ALLOWED = [
    ("/v1/studies", "GET, HEAD, POST"),
    ("/v1/studies/mine", "DELETE, GET, HEAD, PATCH"),
    ("/v1/schedules/preview", "POST"),
    ("/v1/work/claim", "POST"),
    ("/healthz", "GET, HEAD"),
]


def test_an_unknown_method_is_told_every_known_one(api: httpx.Client) -> None:
    """405 with `Allow`: of all the routes at an address, and not of the first one alone."""
    for path, allowed in ALLOWED:
        response = api.request("TRACE", path)

        assert (path, response.status_code, response.headers["Allow"]) == (path, 405, allowed)


@pytest.mark.parametrize("path", ["/healthz", "/v1/studies", "/v1/studies/none", "/", "/v1/schedules/cosine"])
def test_head_is_get_without_its_body(api: httpx.Client, path: str) -> None:
    """The same status, media type and length."""
    whole, head = api.get(path), api.head(path)

    assert head.content == b""
    for name in ("content-type", "content-length"):
        if name == "content-type" or whole.is_success:  # a problem's length is that of its request's id, and more
            assert head.headers[name] == whole.headers[name]
    assert head.status_code == whole.status_code


def test_the_head_of_a_stream_ends(api: httpx.Client) -> None:
    """Nobody follows a study by HEAD: the connection serves the next request."""
    assert api.post("/v1/studies", json=spec()).status_code == 201

    head, after = api.head("/v1/studies/mine/events"), api.get("/healthz")

    assert (head.status_code, head.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert after.is_success
