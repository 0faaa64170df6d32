"""A worker that follows the head: what it said of late is known to the next one, too."""

from __future__ import annotations

from pathlib import Path

import pytest

from etude.following import KEPT_SECONDS, FollowingVerbs
from etude.shared import Head, SharedDirectory, write_whole
from search_spaces.problems import StoreUnavailable
from search_spaces.work import Announcement
from store import Store, open_store
from store.copies import copy_store, put_copy
from store.trials import get_trial
from tests.integration.service_http import serving
from tests.postgres import free_port
from tests.studies import add_proposals, claim, finish, report, report_item, run_study

NOTHING_SERVED = "http://127.0.0.1:{port}"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def shared(tmp_path: Path) -> SharedDirectory:
    """A directory with the workers' token; stores without tokens take any."""
    made = SharedDirectory(tmp_path / "shared")
    made.make()
    write_whole(made.work_token, b"etude_any")
    return made


@pytest.fixture
def first(sqlite_template: Path, tmp_path: Path) -> Store:
    """The store of the first head."""
    file = tmp_path / "first.db"
    file.write_bytes(sqlite_template.read_bytes())
    store = open_store(f"sqlite:///{file}")
    run_study(store)
    add_proposals(store, count=4)
    return store


def serves(shared: SharedDirectory, generation: int, url: object) -> None:
    """A head of this generation says that it serves here."""
    shared.record(generation).parent.mkdir(exist_ok=True)
    shared.say(Head(generation, "h", "node", url=str(url).rstrip("/")))


def test_what_the_lost_head_had_not_copied_is_said_to_the_next(
    shared: SharedDirectory, first: Store, tmp_path: Path
) -> None:
    """A report and a result that only the first head's disk knew: the second has them, and counts no time twice."""
    copy, clock = tmp_path / "copy.db", Clock()
    verbs = FollowingVerbs(shared, clock=clock)
    with serving(first) as client:
        serves(shared, 1, client.base_url)
        reported, finished, early = claim(verbs, count=3)
        report(verbs, report_item(early, (10, 0.9)))
        clock.now = KEPT_SECONDS + 1
        copy_store(first.url, copy)
        report(verbs, report_item(reported, (10, 0.5), worker_seconds=7.0))
        finish(verbs, finished, value=0.25)
    first.close()
    put_copy(copy, f"sqlite:///{tmp_path / 'second.db'}")
    second = open_store(f"sqlite:///{tmp_path / 'second.db'}")

    serves(shared, 2, NOTHING_SERVED.format(port=free_port()))
    with pytest.raises(StoreUnavailable):
        verbs.announce("w1", Announcement())
    with serving(second) as client:
        serves(shared, 2, client.base_url)
        verbs.announce("w1", Announcement())
        verbs.close()

    known = [get_trial(second, "mine", trial.number) for trial in (reported, finished)]
    second.close()
    assert [(point.step, point.value) for point in known[0].curve or []] == [(10, 0.5)]
    assert known[0].worker_seconds == 0.0
    assert (known[1].state, known[1].value) == ("complete", 0.25)


def test_a_trial_that_the_next_head_does_not_know_is_lost(
    shared: SharedDirectory, first: Store, tmp_path: Path
) -> None:
    """Claimed after the last copy: saying so again harms nothing, and the worker is told to drop it."""
    copy = tmp_path / "copy.db"
    verbs = FollowingVerbs(shared)
    copy_store(first.url, copy)
    with serving(first) as client:
        serves(shared, 1, client.base_url)
        [trial] = claim(verbs)
        report(verbs, report_item(trial, (10, 0.5)))
    first.close()
    put_copy(copy, f"sqlite:///{tmp_path / 'second.db'}")
    second = open_store(f"sqlite:///{tmp_path / 'second.db'}")

    with serving(second) as client:
        serves(shared, 2, client.base_url)
        [answer] = report(verbs, report_item(trial, (20, 0.4)))
        verbs.close()
    second.close()

    assert (answer.accepted, answer.code) == (False, "lease_lost")
