"""Importance over HTTP: on both databases, at a bounded cost, kept until another trial ends."""

from __future__ import annotations

from collections.abc import Iterator
from unittest.mock import patch

import httpx
import pytest
from fastapi.testclient import TestClient

from etude import Client
from service.app import create_app
from service.settings import Settings
from store import Store
from store.insights import latest_ended
from store.verbs import SqlVerbs
from tests.integration.service_http import serving
from tests.studies import add_proposals, claim, finish, report, report_item, run_study


@pytest.fixture
def api(store: Store) -> Iterator[TestClient]:
    with TestClient(create_app(store, Settings()), base_url="http://127.0.0.1") as client:
        yield client


def train(store: Store, count: int) -> None:
    """Finish `count` trials; every fifth is cut off at the first rung."""
    verbs = SqlVerbs(store)
    for place, trial in enumerate(claim(verbs, count=count)):
        if place % 5 == 4:
            finish(verbs, trial, value=None, state="failed", error="diverged")
            continue
        report(verbs, report_item(trial, (10, trial.candidate.initial_lr), (100, trial.candidate.initial_lr)))
        finish(verbs, trial, value=trial.candidate.initial_lr)


def test_a_search_says_what_mattered(api: httpx.Client, store: Store) -> None:
    """Importance, families, LRs and rungs of what has ended; open trials and foreign ones are left out."""
    run_study(store, budget={"trials": 60}, pruner={"kind": "median"})
    add_proposals(store, count=45)
    train(store, 40)

    found = api.get("/v1/studies/mine/importance").json()

    view = api.get("/v1/studies/mine").json()["counts"]
    assert found["trials"] == found["read"] == 40
    assert (found["metric"], found["direction"]) == ("loss", "minimize")
    by_optimizer = [one for one in found["families"] if one["part"] == "optimizer"]
    for state in ("complete", "pruned", "failed"):
        assert sum(one[state] for one in by_optimizer) == view[state]
    assert view["pruned"] > 0
    assert sum(one["pruned"] for one in found["pruned"]) == view["pruned"]
    assert found["importance"][0]["group"] == "all"
    assert sum(one["complete"] for bins in found["lr"] for one in bins["bins"]) == view["complete"]


def test_it_is_made_again_only_when_a_trial_has_ended(api: httpx.Client, store: Store) -> None:
    """The second answer reads no trial; one more ended trial is seen."""
    run_study(store)
    add_proposals(store, count=6)
    train(store, 4)

    with patch("service.insights.latest_ended", wraps=latest_ended) as reading:
        first = api.get("/v1/studies/mine/importance").json()
        again = api.get("/v1/studies/mine/importance").json()
        train(store, 1)
        later = api.get("/v1/studies/mine/importance").json()

    assert reading.call_count == 2
    assert (first, later["read"]) == (again, 5)


def test_before_the_first_trial_there_is_nothing_and_it_says_so(api: httpx.Client, store: Store) -> None:
    """A queued study and one without trials: 200 and empty lists; no study: 404."""
    run_study(store)
    queued = {"name": "waiting", "task": {"name": "unknown"}}
    api.post("/v1/studies", json=queued)

    started = api.get("/v1/studies/mine/importance").json()
    waiting = api.get("/v1/studies/waiting/importance").json()

    assert (started["read"], started["families"], waiting["read"]) == (0, [], 0)
    assert "nothing has been trained" in waiting["notes"][0]
    assert api.get("/v1/studies/none/importance").status_code == 404


def test_the_client_reads_it(store: Store) -> None:
    """The models are the service's own."""
    run_study(store)

    with serving(store) as http, Client(str(http.base_url)) as client:
        insight = client.importance("mine")

    assert (insight.study, insight.read) == ("mine", 0)
