"""Live workers of one study share what it has open, as far as they have places."""

from __future__ import annotations

import uuid

import pytest
from sqlalchemy import text

from search_spaces.work import Announcement, ClaimRequest, Packing
from store import Store
from store.sharing import KEPT_SECONDS
from store.verbs import SqlVerbs
from tests.studies import OFFER, TASKS, add_proposals, claim, finish, run_study


def alive(store: Store, **places: int) -> SqlVerbs:
    """Announce workers that pack so many trials of the made-up task."""
    verbs = SqlVerbs(store)
    for worker, size in places.items():
        task = OFFER.model_copy(update={"packing": Packing(size=size)})
        verbs.announce(worker, Announcement(devices=["cpu"], slots=size, tasks=[task]))
    return verbs


def let_pass(store: Store, seconds: float) -> None:
    """Make every proposal so much older."""
    with store.begin() as connection:
        connection.execute(text("UPDATE etude_proposals SET created_at = created_at - :s"), {"s": seconds})


def claim_of(verbs: SqlVerbs, worker: str, study: str | None) -> int:
    """Claim as many as there are, of one study or of any, and return how many were had."""
    request = ClaimRequest(worker=worker, claim_id=uuid.uuid4().hex, tasks=TASKS, count=64, study=study)
    return len(verbs.claim(request).items)


@pytest.mark.parametrize("study", [None, "mine"])
def test_who_asks_first_leaves_the_others_their_share(store: Store, study: str | None) -> None:
    """Of 9 proposals two equal workers get 5 and 4, however many the first has places for."""
    run_study(store)
    add_proposals(store, count=9)
    verbs = alive(store, first=64, second=64)

    had = [claim_of(verbs, worker, study) for worker in ("first", "first", "second")]

    assert had == [5, 0, 4]


@pytest.mark.parametrize("order", ["small large", "large small"])
def test_what_a_small_worker_has_no_places_for_goes_to_the_others(store: Store, order: str) -> None:
    """Of 9 proposals a worker that trains one at a time gets one, and the one with many places the rest."""
    run_study(store)
    add_proposals(store, count=9)
    verbs = alive(store, large=64, small=1)

    had = {worker: len(claim(verbs, worker=worker, count=9)) for worker in order.split()}

    assert had == {"small": 1, "large": 8}


def test_workers_with_places_enough_get_as_many(store: Store) -> None:
    """However much larger one of them is: packs of equal size end together."""
    run_study(store)
    add_proposals(store, count=8)
    verbs = alive(store, larger=64, large=8)

    had = [len(claim(verbs, worker=worker, count=64)) for worker in ("larger", "large")]

    assert had == [4, 4]


def test_what_a_worker_holds_counts(store: Store) -> None:
    """After one of its trials has ended a worker gets one more than the others, not half of what is ready."""
    run_study(store)
    add_proposals(store, count=4)
    verbs = alive(store, first=64, second=64)
    held = claim(verbs, worker="first", count=2)
    claim(verbs, worker="second", count=2)
    finish(verbs, held[0])
    add_proposals(store, count=3, first=4)

    first = claim(verbs, worker="first", count=64)
    second = claim(verbs, worker="second", count=64)

    assert (len(first), len(second)) == (2, 1)


def test_nothing_is_kept_for_long(store: Store) -> None:
    """What the others have not asked for within a moment is anybody's."""
    run_study(store)
    add_proposals(store, count=8)
    verbs = alive(store, first=64, second=64)
    claim(verbs, worker="first", count=64)

    let_pass(store, KEPT_SECONDS)

    assert len(claim(verbs, worker="first", count=64)) == 4


def test_nothing_is_kept_for_workers_that_are_gone_or_train_something_else(store: Store) -> None:
    """Only live workers that offer the task have a share."""
    run_study(store)
    add_proposals(store, count=8)
    verbs = alive(store, first=64, gone=64)
    other = OFFER.model_copy(update={"name": "other"})
    verbs.announce("elsewhere", Announcement(devices=["cpu"], slots=64, tasks=[other]))
    with store.begin() as connection:
        connection.execute(text("UPDATE etude_workers SET heartbeat_at = heartbeat_at - 60 WHERE worker = 'gone'"))

    assert len(claim(verbs, worker="first", count=64)) == 8


def test_who_has_not_announced_itself_is_not_bound(store: Store) -> None:
    """Training loops outside our workers ask by name only: they get what they ask for."""
    run_study(store)
    add_proposals(store, count=8)
    verbs = alive(store, first=64, second=64)

    assert len(claim(verbs, worker="stranger", count=8)) == 8
