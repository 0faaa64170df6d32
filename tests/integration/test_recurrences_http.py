"""Recurrences over HTTP, by the client and by the command line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from click.testing import CliRunner

from etude import Client
from etude.cli import main
from search_spaces.problems import InvalidSpec, NameTaken, NotFound
from service.clock import Clock
from store import Store, open_store
from tests.integration.service_http import serving
from tests.integration.service_simulation import simulated
from tests.nights import TEMPLATE, FakeTime, moment_of, train_all

PATH = "/v1/recurrences"
BODY: dict[str, Any] = {"name": "nightly", "template": TEMPLATE, "cron": "30 2 * * *", "zone": "Europe/Berlin"}


@pytest.fixture(scope="module")
def own(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    file = shutil.copy(sqlite_template, tmp_path_factory.mktemp("recurrences") / "etude.db")
    opened = open_store(f"sqlite:///{file}")
    simulated(opened)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def api(own: Store) -> Iterator[httpx.Client]:
    with serving(own) as client:
        yield client


@pytest.fixture
def client(api: httpx.Client) -> Iterator[Client]:
    with Client(str(api.base_url)) as made:
        yield made
        for view in list(made.recurrences.list()):
            made.recurrences.delete(view.name)


def test_a_recurrence_is_kept_shown_changed_and_removed(client: Client, api: httpx.Client) -> None:
    """201 with its address; the same again changes nothing; what is left out of a change stays."""
    made = api.post(PATH, json=BODY)
    again = api.post(PATH, json=BODY)
    changed = client.recurrences.change("nightly", cron="0 3 * * *", done_by="06:00")
    cleared = client.recurrences.change("nightly", done_by=None)
    listed = [view.name for view in client.recurrences.list()]
    client.recurrences.delete("nightly")

    assert (made.status_code, made.headers["Location"]) == (201, f"{PATH}/nightly")
    assert again.json() == made.json()
    assert (changed.cron, changed.zone, changed.done_by) == ("0 3 * * *", "Europe/Berlin", "06:00")
    assert changed.next_due_at is not None
    assert changed.next_due_at.minute == 0
    assert (cleared.done_by, cleared.cron) == (None, "0 3 * * *")
    assert listed == ["nightly"]
    with pytest.raises(NotFound):
        client.recurrences.get("nightly")
    with pytest.raises(NotFound):
        client.recurrences.runs("nightly").__iter__().__next__()


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"name": "Nightly"}, "name"),
        ({"name": "n" * 41}, "name"),
        ({"cron": "30 2 * *"}, "cron"),
        ({"cron": "61 2 * * *"}, "cron"),
        ({"cron": "0 0 30 2 *"}, "cron"),
        ({"cron": "R 2 * * *"}, "cron"),
        ({"zone": "Europe/Atlantis"}, "zone"),
        ({"zone": "../etc/passwd"}, "zone"),
        ({"done_by": "6 am"}, "done_by"),
        ({"end": "2030-01-01T00:00:00Z", "start": "2031-01-01T00:00:00Z"}, "end"),
        ({"end": "2030-01-01T00:00:00"}, "end"),
        ({"keep": 0}, "keep"),
        ({"max_concurrent": 0}, "max_concurrent"),
        ({"overlap": "both"}, "overlap"),
        ({"often": True}, "often"),
        ({"template": {"budget": {}}}, "template.task"),
        ({"template": TEMPLATE | {"name": "mine"}}, "template.name"),
        ({"template": TEMPLATE | {"budget": {"deadline": "2030-01-01T00:00:00Z"}}}, "template.budget.deadline"),
        ({"template": TEMPLATE | {"warm_start": {"studies": ["a"]}}}, "template.warm_start.studies"),
        ({"template": TEMPLATE | {"space": {"optimizers": ["adam_"]}}}, "template.space.optimizers.adam_"),
        ({"template": TEMPLATE | {"objective": {"metric": "speed"}}}, "template.objective.metric"),
        ({"webhook": {"url": "https://hooks.example.com/x"}}, "webhook.url"),
        ({"webhook": {"url": "ftp://hooks.example.com/x"}}, "webhook.url"),
        ({"webhook": {"url": "https://hooks.example.com/\x01é"}}, "webhook.url"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_field(client: Client, given: dict[str, Any], field: str) -> None:
    """422 as problem+json at once, and nothing is kept; the same for a change, which changes nothing."""
    with pytest.raises(InvalidSpec) as refused:
        client.recurrences.create(BODY | given)
    assert refused.value.field == field
    assert list(client.recurrences.list()) == []

    if field not in ("name", "often") and "template" not in given:
        kept = client.recurrences.create(BODY)
        with pytest.raises(InvalidSpec) as unchanged:
            client.recurrences.change("nightly", **given)
        assert unchanged.value.field == field
        assert client.recurrences.get("nightly") == kept


def test_a_name_is_given_once(client: Client) -> None:
    """Another recurrence of the name is refused."""
    client.recurrences.create(BODY)

    with pytest.raises(NameTaken):
        client.recurrences.create(BODY, keep=3)


def test_the_command_line_does_it_all(client: Client, api: httpx.Client, own: Store, tmp_path: Path) -> None:
    """Submitted from a file, listed, run now, looked at when its night has ended, paused, resumed, removed."""
    file = tmp_path / "nightly.yaml"
    file.write_text(yaml.safe_dump(BODY))
    etude = _command_line(str(api.base_url))

    said = etude("submit", str(file), "--name", "mine")
    night = json.loads(etude("run-now", "mine", "--claim-id", "a", "--json"))
    again = json.loads(etude("run-now", "mine", "--claim-id", "a", "--json"))
    train_all(own, simulated(own), Clock(own))
    runs = etude("runs", "mine")

    assert said.startswith("mine: nothing, 30 2 * * * in Europe/Berlin; next due ")
    assert "in use: " in said
    assert "adamw" in etude("show", "mine").lower()
    assert "mine" in etude("list")
    assert night["study"] == again["study"]
    assert client.study(night["study"]).view().state == "done"
    assert "winner" in runs
    assert [item["state"] for item in json.loads(etude("runs", "mine", "--json"))["items"]] == ["done"]
    assert "; paused" in etude("pause", "mine")
    assert "; next due " in etude("resume", "mine")
    assert etude("delete", "mine", "--yes") == "mine is removed\n"
    assert etude("list").startswith("no recurrence yet")


def _command_line(url: str) -> Callable[..., str]:
    def etude(*arguments: str) -> str:
        done = CliRunner().invoke(main, ["--url", url, "recurrence", *arguments], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout

    return etude


def test_the_page_draws_the_nights_and_escapes_everything(client: Client, api: httpx.Client, own: Store) -> None:
    """A bar for each night with a difference, a row for each night; text from outside stays text; nothing is loaded."""
    from tests.nights import recur

    now = FakeTime(moment_of("2030-03-27T12:00:00+01:00"))
    recur(own, now, name="drawn", cron="0 * * * *", keep=5)
    clock, worker = Clock(own, now), simulated(own)
    for _ in range(2):
        now.at += 3600
        clock.round()
        train_all(own, worker, clock)
    _refuse_a_night(own, clock, now)

    page = api.get(f"{PATH}/drawn/page")

    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert page.text.count("<circle") == 2
    assert page.text.count('<tr><th scope="row">') == 3
    assert "<script>alert(1)</script>" not in page.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.text


def _refuse_a_night(store: Store, clock: Clock, now: FakeTime) -> None:
    """A night that is stopped with a reason that would be a script."""
    from store.studies import change_state
    from tests.nights import nights

    now.at += 3600
    clock.round()
    change_state(store, nights(store, "drawn")[-1].study or "", "stopped", "<script>alert(1)</script>")
    clock.round()
