"""`etude plan --measure`: short trials through the service and a worker, of which nothing is left."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from etude import Client
from etude.errors import Conflict
from etude.measuring import LEAST_STEPS, measure
from search_spaces.work import Announcement, ClaimedTrial
from store import Store, open_store
from store.verbs import SqlVerbs
from store.workers import announce
from tests.integration.service_http import serving
from tests.studies import OFFER, add_proposals, claim, finish

SPEC: dict[str, Any] = {"name": "mine", "task": {"name": "nothing"}, "budget": {"trials": 64}}


@pytest.fixture
def own_store(sqlite_template: Path, tmp_path: Path) -> Iterator[Store]:
    shutil.copy(sqlite_template, tmp_path / "etude.db")
    opened = open_store(f"sqlite:///{tmp_path / 'etude.db'}")
    announce(opened, "w1", Announcement(tasks=[OFFER]))
    yield opened
    opened.close()


@pytest.fixture
def client(own_store: Store) -> Iterator[Client]:
    with serving(own_store) as http, Client(str(http.base_url)) as client:
        yield client


def worker(client: Client, store: Store, seen: list[ClaimedTrial], **end: Any) -> Callable[[float], None]:
    """What happens while somebody sleeps: the coordinator proposes one trial, and a worker trains it."""

    def train(_seconds: float) -> None:
        (view,) = client.list()
        add_proposals(store, view.name, count=1, first=len(seen))
        for trial in claim(SqlVerbs(store)):
            seen.append(trial)
            seconds = {"worker_seconds": 30.0 if len(seen) == 1 else 2.0}  # the first one warms the worker up
            finish(SqlVerbs(store), trial, **(seconds | end))

    return train


def test_a_short_trial_tells_what_a_step_costs_and_leaves_nothing(client: Client, own_store: Store) -> None:
    """Of 100 steps the second one trains 50, in 2 s: 0.04 s a step; no study is left, and the plan goes by it."""
    seen: list[ClaimedTrial] = []

    step_seconds = measure(client, SPEC, 100, sleep=worker(client, own_store, seen))

    plan = client.plan(SPEC, step_seconds=step_seconds)
    assert [trial.horizon_steps for trial in seen] == [LEAST_STEPS, LEAST_STEPS]
    assert step_seconds == pytest.approx(2 / LEAST_STEPS)
    assert list(client.list()) == []
    assert plan.seconds is not None
    assert plan.seconds.training == pytest.approx(4.0)
    assert plan["seconds"]["source"].startswith("a short trial that was measured for it")


def test_a_trial_that_fails_tells_no_cost(client: Client, own_store: Store) -> None:
    """Its error is said, and its study is gone."""
    failing = worker(client, own_store, [], value=None, state="failed", error="out of memory")

    with pytest.raises(Conflict, match="failed and tells no cost: out of memory"):
        measure(client, SPEC, 100, sleep=failing)

    assert list(client.list()) == []


def test_a_trial_that_nobody_trains_ends_in_time(client: Client) -> None:
    """TimeoutError after the patience, and nothing is left in the queue."""
    with pytest.raises(TimeoutError, match="no worker has trained"):
        measure(client, SPEC, 100, timeout=0.0, sleep=lambda _seconds: None)

    assert list(client.list()) == []
