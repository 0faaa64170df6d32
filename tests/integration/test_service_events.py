"""A study's events over HTTP: from the first look to the end, and on from where a client was cut off."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from service import feeds
from store import Store, open_store
from store.changes import Place, changed_trials, present_place
from store.studies import change_state, delete_study
from store.verbs import SqlVerbs
from tests.integration.service_http import serving
from tests.studies import add_proposals, claim, finish, report, report_item, run_study

URL = "/v1/studies/mine/events"


@pytest.fixture
def own_store(sqlite_template: Path, tmp_path: Path) -> Iterator[Store]:
    shutil.copy(sqlite_template, tmp_path / "etude.db")
    opened = open_store(f"sqlite:///{tmp_path / 'etude.db'}")
    yield opened
    opened.close()


@pytest.fixture
def verbs(own_store: Store) -> SqlVerbs:
    run_study(own_store)
    add_proposals(own_store, count=6)
    return SqlVerbs(own_store)


@pytest.fixture
def api(own_store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    monkeypatch.setattr(feeds, "LOOK_SECONDS", 0.02)
    with serving(own_store) as client:
        yield client


Event = dict[str, Any]


def events(response: httpx.Response) -> Iterator[Event]:
    """The events of an open stream, as they come."""
    found: Event = {}
    for line in response.iter_lines():
        if not line and found:
            yield found
            found = {}
        elif line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            found[name] = json.loads(value) if name == "data" else value


def all_events(api: httpx.Client, last: str | None = None) -> list[Event]:
    """Every event until the stream ends."""
    headers = {} if last is None else {"Last-Event-ID": last}
    with api.stream("GET", URL, headers=headers) as response:
        assert response.status_code == 200
        return list(events(response))


def ended_trials(found: list[Event]) -> list[int]:
    return sorted(one["data"]["number"] for one in found if one["event"] == "trial" and one["data"]["finished_at"])


def test_a_stream_tells_of_trials_and_study_until_the_study_has_ended(
    api: httpx.Client, verbs: SqlVerbs, own_store: Store
) -> None:
    """What is open comes first; the last event says how it ended, and the stream closes."""
    first, second = claim(verbs, count=2)
    report(verbs, report_item(first, (10, 0.9)))

    with api.stream("GET", URL) as response:
        assert response.headers["Content-Type"].startswith("text/event-stream")
        stream = events(response)
        begun = [next(stream) for _ in range(3)]
        finish(verbs, second)
        change_state(own_store, "mine", "stopped")
        rest = list(stream)

    assert [(one["event"], one["data"].get("number")) for one in begun] == [("trial", 0), ("trial", 1), ("study", None)]
    assert begun[0]["data"]["rungs"] == {"10": 0.9}
    assert "curve" not in begun[0]["data"]
    assert ended_trials(rest) == [0, 1]
    assert [one["data"]["state"] for one in rest[-2:]] == ["stopped", "stopped"]
    assert (rest[-1]["event"], rest[-1]["id"]) == ("end", "end")


def test_who_was_cut_off_hears_of_everything_that_has_ended_since(
    api: httpx.Client, verbs: SqlVerbs, own_store: Store
) -> None:
    """The last id is enough, at whatever process: trials below it had ended and were told."""
    trials = claim(verbs, count=4)
    finish(verbs, trials[0])
    finish(verbs, trials[2])
    with api.stream("GET", URL) as response:
        last = next(one["id"] for one in events(response) if "id" in one)
    for trial in (trials[1], trials[3], *claim(verbs, count=1)):
        finish(verbs, trial)
    change_state(own_store, "mine", "stopped")

    found = all_events(api, last)

    assert last == "1.0"
    assert ended_trials(found) == [1, 2, 3, 4]


def test_the_first_position_tells_of_every_trial_in_several_pages(
    api: httpx.Client, verbs: SqlVerbs, own_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0.0 is the beginning; each ended trial comes once."""
    monkeypatch.setattr("service.looking.changed_trials", lambda *args, **kw: changed_trials(*args, **kw, limit=2))
    for trial in claim(verbs, count=5):
        finish(verbs, trial)
    change_state(own_store, "mine", "stopped")

    assert ended_trials(all_events(api, "0.0")) == [0, 1, 2, 3, 4]


def test_a_client_that_has_heard_the_end_is_told_not_to_ask_again(
    api: httpx.Client, verbs: SqlVerbs, own_store: Store
) -> None:
    """204 stops a browser's EventSource, which would come back for ever."""
    change_state(own_store, "mine", "stopped")

    assert [one["event"] for one in all_events(api)] == ["study", "end"]
    assert api.get(URL, headers={"Last-Event-ID": "end"}).status_code == 204


def test_a_study_that_is_removed_ends_its_stream(api: httpx.Client, verbs: SqlVerbs, own_store: Store) -> None:
    """Nobody waits for what is gone; asked for again it is not found."""
    with api.stream("GET", URL) as response:
        stream = events(response)
        next(stream)
        delete_study(own_store, "mine")
        last = list(stream)[-1]

    assert last["data"] == {"state": "deleted"}
    assert api.get(URL).status_code == 404


@pytest.mark.parametrize("last", ["x", "1", "1.2.3", "-1.0", "1.99999999999", "²."])
def test_an_id_that_no_event_has_is_refused(api: httpx.Client, verbs: SqlVerbs, last: str) -> None:
    """Nothing is guessed."""
    answer = api.get(URL, headers={"Last-Event-ID": last.encode()})

    assert (answer.status_code, answer.json()["field"]) == (422, "Last-Event-ID")


def test_changed_trials_are_those_that_were_open_and_those_above(store: Store) -> None:
    """Ended ones below are not read again: a place moves on with what it was shown."""
    run_study(store, pruner={"kind": "none"})
    add_proposals(store, count=6)
    verbs = SqlVerbs(store)
    trials = claim(verbs, count=3)
    finish(verbs, trials[1])
    place = present_place(store, "mine")
    finish(verbs, trials[0])
    claim(verbs, count=2)

    changed = changed_trials(store, "mine", place)
    after = place.after(changed)

    assert place == Place(top=2, open=frozenset({0, 2}))
    assert place.low == 0
    assert [(trial.number, trial.state) for trial in changed] == [
        (0, "complete"), (2, "leased"), (3, "leased"), (4, "leased"),
    ]  # fmt: skip
    assert (after.top, after.open, after.low) == (4, frozenset({2, 3, 4}), 2)
    assert present_place(store, "mine", confirmation=True) == Place()
