"""Readiness: the store answers, and the coordinator that the process keeps is at work."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.settings import Settings
from service.supervision import Supervised
from store import Store, open_store


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    opened = open_store(sqlite_url)
    yield opened
    opened.close()


def test_a_service_whose_coordinator_is_down_is_not_ready(store: Store) -> None:
    """200 while it runs, 503 `not_ready` once it does not; the process itself is alive all the time."""
    coordinator = Supervised([sys.executable, "-c", "import sys; sys.stdin.read()", "coordinator"], {})
    client = TestClient(create_app(store, Settings(), coordinator), base_url="http://127.0.0.1")
    coordinator.start()

    ready = client.get("/readyz")
    coordinator.stop()
    gone = client.get("/readyz")

    assert (ready.status_code, ready.json()) == (200, {"status": "ok"})
    assert (gone.status_code, gone.json()["code"]) == (503, "not_ready")
    assert gone.json()["detail"] == "the coordinator is not running"
    assert client.get("/healthz").status_code == 200


def test_a_service_that_keeps_no_coordinator_needs_none(store: Store) -> None:
    """`--only api`: the store alone decides."""
    client = TestClient(create_app(store, Settings()), base_url="http://127.0.0.1")

    assert client.get("/readyz").status_code == 200


def test_a_submission_and_a_change_nudge_the_coordinator(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """It need not wait for its next look; what is refused nudges nobody."""
    nudges: list[str] = []
    monkeypatch.setattr(Supervised, "nudge", lambda _: nudges.append("nudged"))
    client = TestClient(create_app(store, Settings(), Supervised(["coordinator"], {})), base_url="http://127.0.0.1")
    body = {"name": "mine", "task": {"name": "nobodys"}}

    made = client.post("/v1/studies", json=body)
    after_submission = len(nudges)
    refused = client.post("/v1/studies", json=body)
    after_refusal = len(nudges)
    changed = client.patch("/v1/studies/mine", json={"priority": 3})

    assert (made.status_code, refused.status_code, changed.status_code) == (201, 409, 200)
    assert (after_submission, after_refusal, len(nudges)) == (1, 1, 2)
