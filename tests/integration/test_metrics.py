"""Metrics: what the store knows, read in few statements, and what a process counts itself."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import insert, select, text, update

from search_spaces.problems import StoreUnavailable
from search_spaces.work import Announcement, DeviceUsage, ReleaseItem, ReleaseRequest
from service.app import create_app
from service.settings import Settings
from store import Store, open_store
from store.claims import sweep_expired
from store.coordinators import beat
from store.gauges import read_gauges
from store.tables import outbox, proposals, recurrences, studies
from store.verbs import SqlVerbs
from store.workers import announce
from tests.integration.test_statements import counted
from tests.studies import add_proposals, claim, finish, report, report_item, run_study

OWN_SECONDS = 8.0
READING = 5
"""Statements of a scrape, the clock's and the workers' included."""
GPU = DeviceUsage(device="cuda:0", memory_used_bytes=2**30, memory_total_bytes=2**37, utilization=0.5)


@pytest.fixture
def embedded(sqlite_template: Path, tmp_path: Path) -> Iterator[Store]:
    shutil.copy(sqlite_template, tmp_path / "etude.db")
    opened = open_store(f"sqlite:///{tmp_path / 'etude.db'}")
    yield opened
    opened.close()


def set_at(store: Store, table: Any, **columns: Any) -> None:
    """Set columns of every row."""
    with store.begin() as connection:
        connection.execute(update(table).values(columns))


def test_gauges_say_what_is_in_the_store(store: Store) -> None:
    """Studies and trials by state, the queue and its age, leases and those that ran out, in few statements."""
    run_study(store)
    add_proposals(store, count=5)
    verbs = SqlVerbs(store)
    first, second, _ = claim(verbs, count=3)
    finish(verbs, first)
    with store.begin() as connection:
        now = store.now(connection)
        waiting = update(proposals).where(proposals.c.state == "proposed").values(created_at=now - 100)
        connection.execute(waiting)
        gone = update(proposals).where(proposals.c.number == second.number).values(lease_expires_at=now - 1)
        connection.execute(gone)

    with counted(store) as seen:
        gauges = read_gauges(store, OWN_SECONDS)

    assert len(seen) <= READING
    assert {state: n for state, n in gauges.studies.items() if n} == {"running": 1}
    assert {state: n for state, n in gauges.trials.items() if n} == {"proposed": 2, "leased": 2, "complete": 1}
    assert (gauges.queue, gauges.leases_expired) == (2, 1)
    assert 100 <= gauges.queue_oldest_seconds < 160
    assert gauges.lag_seconds == 0  # tests own it


def test_what_nobody_may_claim_is_no_queue(store: Store) -> None:
    """Proposals of a paused study wait for a person, not for a worker."""
    run_study(store)
    add_proposals(store, count=5)
    set_at(store, studies, state="paused")

    gauges = read_gauges(store, OWN_SECONDS)

    assert (gauges.queue, gauges.queue_oldest_seconds, gauges.trials["proposed"]) == (0, 0, 5)


def test_lag_is_the_time_in_which_a_study_was_left_alone(store: Store) -> None:
    """By the end of its coordinator's ownership; of a study that nobody owns since any coordinator was seen."""
    run_study(store)
    with store.begin() as connection:
        now = store.now(connection)
    set_at(store, studies, owner="dead", owner_until=now - 92)
    dead = read_gauges(store, OWN_SECONDS).lag_seconds
    set_at(store, studies, owner=None, owner_until=None, updated_at=now - 50)
    unowned = read_gauges(store, OWN_SECONDS).lag_seconds
    beat(store, "alive", 2)
    seen = read_gauges(store, OWN_SECONDS)

    assert 100 <= dead < 150
    assert 50 <= unowned < 100
    assert seen.lag_seconds < 30
    assert (seen.coordinators, seen.failing) == (1, 2)


@pytest.mark.parametrize(
    ("checkpoint", "lost"), [(None, 100.0), (20, 60.0), (50, 0.0)], ids=["nothing saved", "40 %", "all"]
)
def test_time_lost_to_a_dead_worker(store: Store, checkpoint: int | None, lost: float) -> None:
    """The time since the claim, but the share of its steps that the checkpoint keeps."""
    run_study(store)
    add_proposals(store, count=1, prunable=False)
    trial = claim(SqlVerbs(store))[0]
    if checkpoint is not None:
        report(SqlVerbs(store), report_item(trial, (checkpoint, 1.0), checkpoint="saved"))
    report(SqlVerbs(store), report_item(trial, (50, 1.0)))
    with store.begin() as connection:
        now = store.now(connection)
    set_at(store, proposals, claimed_at=now - 100, lease_expires_at=now - 1)

    sweep_expired(store)
    gauges = read_gauges(store, OWN_SECONDS)

    assert gauges.lost_seconds == pytest.approx(lost, abs=20)
    assert gauges.expiries == (1 if lost else 0)


def test_time_lost_to_a_return_without_a_checkpoint(store: Store) -> None:
    """A trial that is given back unsaved begins again; one that is saved loses nothing."""
    run_study(store)
    add_proposals(store, count=2)
    verbs = SqlVerbs(store)
    trials = claim(verbs, count=2)
    with store.begin() as connection:
        now = store.now(connection)
    set_at(store, proposals, claimed_at=now - 100)
    saved = [None, "saved"]
    gifts = [ReleaseItem(study=t.study, number=t.number, lease=t.lease, checkpoint=c)
             for t, c in zip(trials, saved, strict=True)]  # fmt: skip

    verbs.release(ReleaseRequest(worker="w1", items=gifts))

    assert read_gauges(store, OWN_SECONDS).lost_seconds == pytest.approx(100, abs=20)


def test_live_workers_tell_of_their_gpus(store: Store) -> None:
    """Slots and devices of those that were heard of; a worker without a GPU has no device."""
    announce(store, "with", Announcement(slots=3, devices=["cuda:0"], usage=[GPU]))
    announce(store, "without", Announcement(slots=2))
    announce(store, "gone", Announcement(slots=7, usage=[GPU]))
    with store.begin() as connection:
        connection.execute(text("UPDATE etude_workers SET heartbeat_at = heartbeat_at - 31 WHERE worker = 'gone'"))

    fleet = read_gauges(store, OWN_SECONDS).fleet

    assert (fleet.workers, fleet.slots, fleet.devices) == (2, 5, {"with": [GPU]})


def test_what_waits_for_the_clock_and_the_courier(store: Store) -> None:
    """A recurrence that is due, a message to be tried again and one that was given up."""
    with store.begin() as connection:
        now = store.now(connection)
        row = {"name": "nightly", "spec": {}, "widened": {}, "next_due_at": now - 100, "due_known_at": now,
               "created_at": now, "updated_at": now}  # fmt: skip
        connection.execute(insert(recurrences), row)
        key = connection.execute(select(recurrences.c.id)).scalar_one()
        message = {"recurrence_id": key, "event": "e", "content": {}, "created_at": now}
        rows = [
            {"next_at": 0.0, "sent_at": None},
            {"next_at": None, "sent_at": None},
            {"next_at": None, "sent_at": now},
        ]
        connection.execute(insert(outbox), [message | row for row in rows])

    gauges = read_gauges(store, OWN_SECONDS)

    assert gauges.messages == {"waiting": 1, "given_up": 1}
    assert 100 <= gauges.overdue_seconds < 150


def scraped(client: TestClient) -> dict[tuple[str, ...], float]:
    """Samples by name and label values, as Prometheus' own parser reads them."""
    answer = client.get("/metrics")
    assert answer.status_code == 200
    families = text_string_to_metric_families(answer.text)
    return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}


def test_a_scrape(embedded: Store) -> None:
    """Requests and verbs of this process, and the store's gauges, read once for many scrapes; names have no studies."""
    run_study(embedded, name="a-study")
    add_proposals(embedded, name="a-study", count=2)
    announce(embedded, "w1", Announcement(usage=[GPU]))
    client = TestClient(create_app(embedded, Settings()), base_url="http://127.0.0.1")
    ask = {"worker": "w1", "claim_id": "c", "tasks": [{"name": "nothing", "version": "1"}]}
    client.post("/v1/work/claim", json=ask)
    client.get("/v1/studies/a-study")
    client.get("/nowhere/at/all")

    found = scraped(client)
    with counted(embedded) as seen:
        scraped(client)

    assert found["etude_store_up",] == 1
    assert found["etude_trials", "leased"] == found["etude_trials", "proposed"] == found["etude_leases",] == 1
    assert found["etude_gpu_utilization_ratio", "cuda:0", "w1"] == 0.5
    assert found["etude_http_requests_total", "GET", "/v1/studies/{name}", "200"] == 1
    assert found["etude_http_requests_total", "GET", "(none)", "404"] == 1
    assert found["etude_http_request_duration_seconds_count", "POST", "/v1/work/claim"] == 1
    assert found["etude_verb_duration_seconds_count", "claim"] == 1
    assert not [key for key in found if "a-study" in str(key)]
    assert [statement for statement in seen if "etude_proposals" in statement] == []


def test_a_scrape_while_the_store_is_away(embedded: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the process counts is there, and that the store was not read; gauges are absent, not zero."""
    client = TestClient(create_app(embedded, Settings()), base_url="http://127.0.0.1")
    client.get("/healthz")

    def away() -> None:
        raise StoreUnavailable("the database is away")

    monkeypatch.setattr("service.app.read_gauges", lambda *_: away())
    found = scraped(client)

    assert found["etude_store_up",] == 0
    assert found["etude_http_requests_total", "GET", "/healthz", "200"] == 1
    assert not [key for key in found if key[0] in ("etude_trials", "etude_workers", "etude_queue_trials")]


def test_names_of_metrics_have_units(embedded: Store) -> None:
    """Seconds, bytes, ratios by their ends; counts by what they count; Prometheus' own rules for names hold."""
    client = TestClient(create_app(embedded, Settings()), base_url="http://127.0.0.1")

    families = list(text_string_to_metric_families(client.get("/metrics").text))

    assert all(re.fullmatch(r"(etude|process)_[a-z_]+[a-z]", family.name) for family in families)
    assert all(family.documentation for family in families)
    timed = [family.name for family in families if re.search(r"duration|lag|oldest|lost", family.name)]
    assert timed
    assert all(name.endswith("_seconds") for name in timed)
