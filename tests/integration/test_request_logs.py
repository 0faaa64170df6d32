"""What a request leaves in the log: one line, under the id that its answer has."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from search_spaces.log import LineFormatter
from service.app import create_app
from service.settings import Settings
from store import Store, open_store
from store.coordinators import beat
from store.tokens import set_admin_token

SECRET = "chosen-by-the-operator-0123456789-abcdef"
Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def store(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    file = tmp_path_factory.mktemp("logs") / "etude.db"
    shutil.copy(sqlite_template, file)
    opened = open_store(f"sqlite:///{file}")
    beat(opened, "elsewhere", 0)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def client(store: Store) -> TestClient:
    return TestClient(
        create_app(store, Settings(body_bytes=1024)), base_url="http://127.0.0.1", raise_server_exceptions=False
    )


@pytest.fixture
def written() -> Iterator[Lines]:
    """The lines that the service has written since it was last asked, as JSON."""
    stream, logger = StringIO(), logging.getLogger("service")
    channel = logging.StreamHandler(stream)
    channel.setFormatter(LineFormatter(pretty=False))
    before = logger.level
    logger.addHandler(channel)
    logger.setLevel(logging.INFO)

    def lines() -> list[dict[str, Any]]:
        text = stream.getvalue()
        stream.seek(0)
        stream.truncate()
        return [json.loads(line) for line in text.splitlines()]

    yield lines
    logger.removeHandler(channel)
    logger.setLevel(before)


def test_a_request_is_one_line_with_its_study_and_trial(client: TestClient, written: Lines) -> None:
    """Under the client's id, without the path's query; whose token it was is known by name."""
    answer = client.get("/v1/studies/mine/trials/3?secret=no", headers={"X-Request-ID": "mine-7"})

    [line] = written()
    assert answer.headers["X-Request-Id"] == answer.json()["request_id"] == line["request_id"] == "mine-7"
    assert (line["event"], line["level"]) == ("request", "info")
    assert (line["method"], line["path"], line["status"]) == ("GET", "/v1/studies/mine/trials/3", 404)
    assert (line["study"], line["trial"]) == ("mine", "3")
    assert line["seconds"] > 0


def test_what_asks_again_and_again_is_written_when_it_fails(client: TestClient, written: Lines) -> None:
    """Probes, scrapes and verbs that went well leave nothing; a verb that was refused does."""
    for path in ("/healthz", "/readyz", "/metrics"):
        assert client.get(path).status_code == 200
    claim = {"worker": "w", "claim_id": "c", "tasks": []}
    assert client.post("/v1/work/claim", json=claim).status_code == 200
    quiet = written()
    client.post("/v1/work/claim", json={})

    assert quiet == []
    assert [(line["path"], line["status"]) for line in written()] == [("/v1/work/claim", 422)]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/v1/nothing", None, 404),
        ("PUT", "/v1/studies", None, 405),
        ("POST", "/v1/studies", b" " * 2000, 413),
        ("POST", "/v1/studies", b"{}", 422),
    ],
)
def test_every_problem_has_the_request_s_id(
    client: TestClient, method: str, path: str, body: bytes | None, status: int
) -> None:
    """Whoever refuses: the route, the framework, or what stands before them."""
    answer = client.request(method, path, content=body, headers={"X-Request-ID": "mine-8"})

    assert (answer.status_code, answer.json()["request_id"]) == (status, "mine-8")
    assert answer.headers["X-Request-Id"] == "mine-8"


def test_a_defect_is_written_under_the_request_s_id(
    store: Store, client: TestClient, written: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The traceback and the request's line both have it, as whatever is written deeper down."""

    def broken() -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(store, "read", broken)
    answer = client.get("/v1/studies", headers={"X-Request-ID": "mine-10"})

    failed, line = written()
    assert answer.json()["code"] == "internal_error"
    assert (failed["event"], failed["level"], failed["request_id"]) == ("request_failed", "error", "mine-10")
    assert "RuntimeError: a defect" in failed["traceback"]
    assert (line["event"], line["level"], line["status"], line["request_id"]) == ("request", "warning", 500, "mine-10")


def test_refusals_of_a_guarded_store_have_it_too(store: Store, client: TestClient, written: Lines) -> None:
    """Without a token 401; with one its name is in the line, and the token is not."""
    set_admin_token(store, SECRET)
    client.app.state.keyring.forget()  # type: ignore[attr-defined]

    refused = client.get("/v1/studies", headers={"X-Request-ID": "mine-9"})
    client.get("/v1/studies", headers={"Authorization": f"Bearer {SECRET}"})

    first, second = written()
    assert (refused.status_code, refused.json()["request_id"], first["request_id"]) == (401, "mine-9", "mine-9")
    assert (second["status"], second["token"]) == (200, "environment")
    assert SECRET not in json.dumps([first, second])
