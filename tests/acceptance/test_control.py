"""What a person does to a study while workers are at it, over HTTP: pause, resume, extend, stop, delete."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import optuna
import pytest

from search_spaces.results import StudyView
from store import Store, open_store
from store.studies import get_study
from tests.chaos import (
    Crowd,
    add_service,
    add_workers,
    assert_exact,
    crowd,
    run_through,
    submit_simulated,
    wait_until,
)
from tests.promises.documents import OWN_BUDGETS
from tests.studies import stock_storage

UNPRUNED = {"kind": "none"}


@dataclass
class Place:
    """A service and two workers on a store, and a client of the service."""

    made: Crowd
    store: Store
    client: httpx.Client

    def counts(self, name: str) -> tuple[int, int]:
        """Trials of the search that are leased, and that have ended."""
        counts = get_study(self.store, name).counts
        return counts.leased, counts.ended

    def change(self, name: str, **body: object) -> StudyView:
        """PATCH the study."""
        answer = self.client.patch(f"/v1/studies/{name}", json=body).raise_for_status()
        return StudyView.model_validate_json(answer.content)

    def finish(self, name: str) -> None:
        """Wait for the study's end."""
        run_through(self.made, self.store, name, 90, kill_every=None)

    def optuna_names(self) -> list[str]:
        """Studies as stock Optuna lists them."""
        with stock_storage(self.store.url) as storage:
            return optuna.get_all_study_names(storage)


@pytest.fixture(scope="module", params=["postgresql", *(["sqlite"] if os.environ.get(OWN_BUDGETS) else [])])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A place on PostgreSQL, and with `make soak` one on SQLite."""
    folder = tmp_path_factory.mktemp("place")
    url = f"sqlite:///{folder / 'etude.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").create_database("etude_control")
    with crowd(url, folder) as made:
        store = open_store(url)
        address = add_service(made)
        add_workers(made, 2, pause=0.02)
        with httpx.Client(base_url=address, timeout=30, trust_env=False) as client:
            yield Place(made, store, client)
        store.close()


def test_a_study_is_steered_while_workers_are_at_it(place: Place) -> None:
    """Paused, resumed, extended, stopped and deleted: each takes effect at once, and no worker is lost over it."""
    submit_simulated(place.store, "steered", 5, pruner=UNPRUNED)
    wait_until(lambda: place.counts("steered")[1] >= 1, 60)

    place.change("steered", state="paused")
    wait_until(lambda: place.counts("steered")[0] == 0, 30)
    held = place.counts("steered")
    submit_simulated(place.store, "meanwhile", 2, pruner=UNPRUNED)
    place.finish("meanwhile")
    assert place.counts("steered") == held

    place.change("steered", state="running")
    place.finish("steered")
    assert_exact(place.store, "steered", 5)

    assert place.change("steered", budget={"trials": 7}).state == "running"
    place.finish("steered")
    assert_exact(place.store, "steered", 7)

    submit_simulated(place.store, "endless", 1000, pruner=UNPRUNED)
    wait_until(lambda: place.counts("endless")[0], 60)
    assert place.client.delete("/v1/studies/endless").status_code == 409
    place.change("endless", state="stopped")
    assert place.counts("endless")[0] == 0

    for name in ("endless", "steered", "meanwhile"):
        assert place.client.delete(f"/v1/studies/{name}").status_code == 204
    assert not {"endless", "steered", "meanwhile"} & set(place.optuna_names())
    assert place.made.died() == []


def test_a_study_that_stock_optuna_deletes_while_workers_are_at_it(place: Place) -> None:
    """It fails with the reason, its trials are lost to the workers, and they go on with the next study."""
    submit_simulated(place.store, "removed", 1000, pruner=UNPRUNED)
    submit_simulated(place.store, "kept", 3, pruner=UNPRUNED)
    wait_until(lambda: place.counts("removed")[0], 60)

    with stock_storage(place.store.url) as storage:
        optuna.delete_study(study_name="removed", storage=storage)
        optuna.create_study(study_name="stranger", storage=storage)
    place.finish("removed")
    place.finish("kept")

    removed = get_study(place.store, "removed")
    assert (removed.state, removed.reason) == ("failed", "removed outside Étude")
    assert (removed.counts.leased, removed.counts.proposed) == (0, 0)
    assert_exact(place.store, "kept", 3)
    assert place.made.died() == []
    with stock_storage(place.store.url) as storage:
        assert optuna.load_study(study_name="stranger", storage=storage).trials == []
