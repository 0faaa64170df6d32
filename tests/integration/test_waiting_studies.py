"""What is said of studies that nobody can train just now."""

from __future__ import annotations

import pytest

from search_spaces.work import Announcement
from store import Store
from store.studies import get_study, list_studies, submit
from store.verbs import SqlVerbs
from store.workers import announce
from tests.studies import OFFER, add_proposals, claim, run_study, study_spec

NOBODY = "no live worker offers the task nothing; its trials wait until one does"


@pytest.mark.parametrize(
    ("announced", "reason"),
    [
        (None, NOBODY),
        ({"available": False, "reason": "no data"}, NOBODY),
        (
            {"version": "2"},
            "the study needs version 1 of the task nothing, and live workers offer 2",
        ),
        ({}, None),
    ],
)
def test_a_study_that_nobody_can_train_says_so(
    store: Store, announced: dict[str, object] | None, reason: str | None
) -> None:
    """It waits visibly, whether its task was never offered, is offered no more, or in another version."""
    submit(store, study_spec("unknown", task={"name": "unknown"}), resolved=None, space=None)
    run_study(store)

    if announced is not None:
        announce(store, "w1", Announcement(tasks=[OFFER.model_copy(update=announced)]))

    running, queued = get_study(store, "mine"), get_study(store, "unknown")
    assert running.reason == reason
    assert queued.reason == "no live worker offers the task unknown; its trials wait until one does"
    assert [view.reason for view in list_studies(store).items] == [running.reason, queued.reason]


def test_a_study_that_is_trained_or_has_none_of_our_workers_waits_for_nobody(store: Store) -> None:
    """Who holds a lease is there, though it has not announced itself; loops of one's own never do."""
    external = {"name": "external"}
    objective = {"metric": "loss", "direction": "minimize"}
    run_study(store, "by-hand", task=external, objective=objective, horizon={"steps": 10})
    run_study(store)
    add_proposals(store, count=1)

    claim(SqlVerbs(store))

    assert [view.reason for view in list_studies(store).items] == [None, None]
