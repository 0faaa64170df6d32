"""How many trials studies still want, for who decides how many workers there are to be."""

from __future__ import annotations

from etude.work import HttpVerbs
from store import Store
from store.backlog import backlog
from store.studies import change_state, submit
from store.verbs import SqlVerbs
from tests.integration.service_http import serving
from tests.studies import add_proposals, claim, finish, run_study, study_spec


def test_the_backlog_is_what_is_left_of_the_budget(store: Store) -> None:
    """Proposed, in training or not drawn yet, a trial counts until it has ended."""
    verbs = SqlVerbs(store)
    run_study(store)
    before = backlog(store, ["nothing"])
    add_proposals(store, count=3)
    proposed = backlog(store, ["nothing"])
    trial, _ = claim(verbs, count=2)
    leased = backlog(store, ["nothing"])
    finish(verbs, trial)

    assert (before, proposed, leased, backlog(store, ["nothing"])) == (10, 10, 10, 9)


def test_what_workers_cannot_train_does_not_count(store: Store) -> None:
    """Neither studies of other tasks nor those that are paused; one that waits for an offer of its task does."""
    run_study(store)
    submit(store, study_spec("waits", budget={"trials": 4}), resolved=None, space=None)
    both = backlog(store, ["nothing", "other"])
    change_state(store, "mine", "paused")

    assert (both, backlog(store, ["nothing"]), backlog(store, ["other"]), backlog(store, [])) == (14, 4, 0, 0)


def test_it_is_told_over_http(store: Store) -> None:
    """The same number, for a worker that speaks to a service."""
    run_study(store)
    with serving(store) as client:
        verbs = HttpVerbs(str(client.base_url))
        told = verbs.backlog(["nothing", "a task of ours & more"])
        verbs.close()

    assert told == 10
