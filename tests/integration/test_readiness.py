"""Readiness: the store answers, and the coordinator that the process keeps is at work."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import insert, text

from search_spaces.problems import Problem
from service import shared
from service.app import create_app
from service.readiness import Readiness
from service.settings import Settings
from service.supervision import Supervised
from store import Store, open_store
from store.coordinators import beat, say_goodbye
from store.tables import coordinators
from store.upgrade import VERSION_TABLE, head_version

NO_COORDINATOR = "not_ready: no coordinator has been heard of for 30 s"


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


def test_a_service_that_keeps_no_coordinator_asks_the_store_for_one(store: Store) -> None:
    """`--only api`: ready once a coordinator anywhere has given a sign of life, not once it has said goodbye."""
    before = missing(Readiness(store, None))
    beat(store, "elsewhere", 0)
    with_one = missing(Readiness(store, None))
    say_goodbye(store, "elsewhere")
    after = missing(Readiness(store, None))

    assert (before, with_one, after) == (NO_COORDINATOR, None, NO_COORDINATOR)


@pytest.mark.parametrize(
    ("lives", "says"),
    [
        ([(400, 100)], "no coordinator has been heard of"),
        ([(200, 199), (150, 148), (2, 1)], None),
        ([(200, 199), (150, 148), (100, 99), (2, 1)], "3 coordinators have died in the last 300 s"),
        ([(200, 199), (150, 148), (100, 99), (90, 1)], None),
        ([(400, 200), (390, 190), (380, 180), (2, 1)], None),
    ],
    ids=["silent", "two died young", "a crash loop, the last one alive just now", "the last one steady", "died old"],
)
def test_coordinators_that_keep_dying_young_are_not_counted_on(
    store: Store, lives: list[tuple[float, float]], says: str | None
) -> None:
    """Each life is (started, last seen) in seconds before now; wherever their processes are."""
    with store.begin() as connection:
        now = store.now(connection)
        rows = [
            {"name": str(place), "started_at": now - started, "seen_at": now - seen, "failing": 0}
            for place, (started, seen) in enumerate(lives)
        ]
        connection.execute(insert(coordinators), rows)

    found = missing(Readiness(store, None))

    assert (found is None) == (says is None)
    assert (says or "") in (found or "")


def test_tables_of_another_version_are_not_ready(store: Store) -> None:
    """A store that was upgraded under a running process of an older version: it says so."""
    beat(store, "elsewhere", 0)
    with store.begin() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))

    found = missing(Readiness(store, None))

    assert found == f"not_ready: the store's tables have version 9999, this process is written for {head_version()}"


def test_a_store_that_hangs_is_waited_for_so_long(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """503 `store_unavailable` in time, and however many probe, one reading hangs, not one for each."""
    readings: list[int] = []
    goes_on = threading.Event()
    monkeypatch.setattr(shared.Shared.get, "__defaults__", (0.05,))

    def hanging(_: Readiness) -> tuple[str, None]:
        readings.append(1)
        goes_on.wait(30)
        return head_version(), None

    monkeypatch.setattr(Readiness, "_look", hanging)
    readiness = Readiness(store, None)

    found = {missing(readiness) for _ in range(3)}
    goes_on.set()

    assert found == {"store_unavailable: the store has not answered within 0.05 s"}
    assert len(readings) == 1


def test_a_process_that_was_asked_to_stop_is_not_ready(store: Store) -> None:
    """From that moment on, while it answers everything else."""
    beat(store, "elsewhere", 0)
    application = create_app(store, Settings())
    client = TestClient(application, base_url="http://127.0.0.1")

    before = client.get("/readyz").status_code
    application.state.readiness.stop()
    after = client.get("/readyz")

    assert (before, after.status_code, after.json()["detail"]) == (200, 503, "this process was asked to stop")
    assert client.get("/v1/presets").status_code == 200


def missing(readiness: Readiness) -> str | None:
    """What is missing for readiness, as code and detail; None where nothing is."""
    try:
        readiness.check()
    except Problem as problem:
        return f"{problem.code}: {problem.detail}"
    return None


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
