"""The client and the service, each as it is: the whole way over real HTTP in this process."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from etude import Client
from etude.errors import NameTaken, NotFound
from search_spaces.work import Announcement
from service import feeds
from store import Store, open_store
from store.studies import change_state
from store.verbs import SqlVerbs
from store.workers import announce
from tests.integration.service_http import serving
from tests.studies import OFFER, add_proposals, claim, finish


@pytest.fixture
def own_store(sqlite_template: Path, tmp_path: Path) -> Iterator[Store]:
    shutil.copy(sqlite_template, tmp_path / "etude.db")
    opened = open_store(f"sqlite:///{tmp_path / 'etude.db'}")
    yield opened
    opened.close()


@pytest.fixture
def client(own_store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.setattr(feeds, "LOOK_SECONDS", 0.02)
    with serving(own_store) as http, Client(str(http.base_url)) as client:
        yield client


def offer(store: Store) -> None:
    announce(store, "w1", Announcement(tasks=[OFFER]))


def test_a_study_goes_from_submission_to_its_end(client: Client, own_store: Store) -> None:
    """Submitted, listed, read, paused, resumed, stopped and deleted, each by its name."""
    offer(own_store)

    study = client.submit(name="mine", task="nothing", trials=4, tags=["night"])
    states = [study.pause().state, study.resume().state, study.stop().state]

    assert [view.name for view in client.list(tag="night", state="stopped")] == ["mine"]
    assert states == ["paused", "running", "stopped"]
    assert client.best("mine").status == "stopped"
    study.delete()
    with pytest.raises(NotFound):
        client.get("mine")


def test_a_submission_that_is_sent_twice_makes_one_study(client: Client, own_store: Store) -> None:
    """The same key is the same submission; another one finds the name taken."""
    offer(own_store)

    first = client.submit(name="mine", task="nothing", idempotency_key="once")
    again = client.submit(name="mine", task="nothing", idempotency_key="once")

    assert first == again
    assert [view.name for view in client.list()] == ["mine"]
    with pytest.raises(NameTaken) as caught:
        client.submit(name="mine", task="nothing")
    assert caught.value.field == "name"


def test_trials_come_page_by_page_and_as_a_table(
    client: Client, own_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every trial once, whatever the pages."""
    monkeypatch.setattr("etude.pages.PAGE_SIZE", 2)
    offer(own_store)
    client.submit(name="mine", task="nothing", trials=10, pruner={"kind": "none"})
    add_proposals(own_store, count=5)
    for number, trial in enumerate(claim(SqlVerbs(own_store), count=5)):
        finish(SqlVerbs(own_store), trial, number / 10)

    table = client.trials("mine", state="complete").to_dataframe()

    assert [trial.number for trial in client.trials("mine")] == [0, 1, 2, 3, 4]
    assert table["value"].tolist() == [0.0, 0.1, 0.2, 0.3, 0.4]


def test_wait_ends_with_the_study(client: Client, own_store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """It hears of the end from the stream while another client stops the study."""
    offer(own_store)
    study = client.submit(name="mine", task="nothing", trials=4)
    stopping = threading.Timer(0.2, lambda: change_state(own_store, "mine", "stopped"))
    stopping.start()

    answer = study.wait(timeout=60)
    stopping.join()

    assert answer.status == "stopped"
    assert "stopped 0/4" in capsys.readouterr().err


def test_events_begin_where_they_are_told_to(client: Client, own_store: Store) -> None:
    """From the beginning, every trial that has ended comes, then the study's last state."""
    offer(own_store)
    client.submit(name="mine", task="nothing", trials=10, pruner={"kind": "none"})
    add_proposals(own_store, count=2)
    for trial in claim(SqlVerbs(own_store), count=2):
        finish(SqlVerbs(own_store), trial)
    change_state(own_store, "mine", "stopped")

    found = list(client.events("mine", position="0.0"))

    assert [event.trial.number for event in found if event.trial] == [0, 1]
    assert [event.study.state for event in found if event.study] == ["stopped"]


def test_previews_and_curves_are_the_services(client: Client) -> None:
    """One LR an update."""
    lr = client.preview({"kind": "linear", "end_factor": 0.5}, initial_lr=0.2, total_steps=4)

    assert len(lr) == 4
    assert lr[0] == pytest.approx(0.2)
