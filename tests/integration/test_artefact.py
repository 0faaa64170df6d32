"""The artefact over HTTP on both databases: what a study was made from, with and on."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

import etude
from search_spaces.work import Announcement, Machine
from service.app import create_app
from service.coordinator import Coordinator
from service.settings import Settings
from store import Store
from store.origins import trained_on
from store.studies import get_study, own
from store.verbs import SqlVerbs
from store.workers import announce, list_workers
from tests.integration.service_simulation import drive, simulated
from tests.studies import OFFER, add_proposals, claim, finish, run_study

FIRST = Machine(hardware="a fast one", platform="Linux x86_64", versions={"torch": "2.13.0"})
SECOND = Machine(hardware="a slow one", platform="Linux aarch64", versions={"torch": "2.12.0"})


@pytest.fixture
def api(store: Store) -> Iterator[TestClient]:
    with TestClient(create_app(store, Settings()), base_url="http://127.0.0.1") as client:
        yield client


def test_the_machines_that_trained_are_those_that_the_workers_said(store: Store) -> None:
    """Two workers on one kind of machine count together; what has not ended well does not count."""
    run_study(store)
    add_proposals(store, count=8)
    verbs = SqlVerbs(store)
    for name, machine in (("w1", FIRST), ("w2", SECOND), ("w3", FIRST)):
        announce(store, name, Announcement(devices=["cpu"], tasks=[OFFER], machine=machine))
    for name in ("w1", "w2", "w3", "unheard"):
        finish(verbs, claim(verbs, worker=name)[0])
    finish(verbs, claim(verbs, worker="w2")[0], value=None, state="failed")

    kinds = trained_on(store, own(store, "tests", 60)[0].study_id)

    assert [(one.hardware, one.devices, one.trainings) for one in kinds] == [
        ("a fast one", ["cpu"], 2), ("", [], 1), ("a slow one", ["cpu"], 1),
    ]  # fmt: skip
    assert {one.worker: one.machine for one in list_workers(store)} == {"w1": FIRST, "w2": SECOND, "w3": FIRST}


def test_an_answer_before_its_end_can_be_kept_and_says_what_it_is(
    api: TestClient, store: Store, tmp_path: Path
) -> None:
    """409 before the first complete trial; then a document whose status is not `final`, with spec and versions."""
    run_study(store, seed=7)
    add_proposals(store, count=2)
    nothing = api.get("/v1/studies/mine/best/artefact")
    finish(SqlVerbs(store), claim(SqlVerbs(store))[0])

    kept = api.get("/v1/studies/mine/best/artefact")

    file = tmp_path / "best.json"
    file.write_bytes(kept.content)
    artefact = etude.load(file).artefact
    assert (nothing.status_code, nothing.json()["code"]) == (409, "conflict")
    assert kept.headers["Content-Disposition"] == 'attachment; filename="mine.best.json"'
    assert (artefact.status, artefact.verdict) == ("searching", None)
    assert "not confirmed" in artefact.sentence
    assert artefact.provenance is not None
    assert artefact.provenance.spec.seed == 7
    assert artefact.provenance.versions == {
        "python": platform.python_version(), "etude": version("etude"), "optuna": version("optuna"),
    }  # fmt: skip
    assert api.get("/v1/studies/mine/best").json()["links"]["artefact"] == "/v1/studies/mine/best/artefact"


def test_a_final_answer_is_stored_with_what_it_was_trained_on(api: TestClient, store: Store) -> None:
    """Provenance is of the moment of the answer: workers that are gone since, or changed, do not change it."""
    worker = simulated(store)
    announce(store, worker.name, Announcement(devices=["cpu"], slots=4, tasks=[OFFER], machine=FIRST))
    small = {"budget": {"trials": 4}, "confirmation": {"seeds": 2, "baselines": [], "extras": False}}
    api.post("/v1/studies", json={"name": "mine", "task": {"name": "nothing"}, **small})
    coordinator = Coordinator(store, owner="one")
    drive(store, worker, "mine", coordinator=lambda: coordinator)
    before = api.get("/v1/studies/mine/best/artefact").json()
    announce(store, worker.name, Announcement(devices=["cpu"], slots=4, tasks=[OFFER], machine=SECOND))

    after = api.get("/v1/studies/mine/best/artefact").json()

    machines, view = after["provenance"]["machines"], get_study(store, "mine")
    assert after == before
    assert after["status"] == "final"
    assert [one["hardware"] for one in machines] == ["a fast one"]
    assert machines[0]["trainings"] == view.counts.complete + view.confirmation.complete
