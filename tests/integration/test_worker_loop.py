"""The worker's loop over both transports and on both databases: the same trials end the same way."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from etude.work import HttpVerbs
from search_spaces.work import Verbs
from store import Store
from store.verbs import SqlVerbs
from store.workers import list_workers
from tests.integration.service_http import serving
from tests.small_task import CANDIDATE, DIVERGING
from tests.studies import run_study
from tests.wire import Wire, propose, trials, work


@pytest.fixture(params=["sql", "http"])
def verbs(request: pytest.FixtureRequest, store: Store) -> Iterator[Verbs]:
    """The five verbs, straight on the store and through a service."""
    if request.param == "sql":
        yield SqlVerbs(store)
        return
    with serving(store) as client:
        spoken = HttpVerbs(str(client.base_url))
        yield spoken
        spoken.close()


def test_a_worker_ends_what_it_claims(store: Store, verbs: Verbs) -> None:
    """A complete, a diverged and a pruned trial are the same over SQL and over HTTP, reports at the rungs included."""
    run_study(store, pruner={"kind": "median", "rungs": [0.2, 0.5], "startup_trials": 2})
    propose(store, count=2)
    propose(store, first=2, candidate=DIVERGING)
    propose(store, first=3, candidate=CANDIDATE.with_lr(1e-6))

    work(Wire(verbs))

    ended = trials(store)
    assert [trial.state for trial in ended] == ["complete", "complete", "failed", "pruned"]
    assert [trial.steps_done for trial in ended] == [100, 100, 10, 20]
    assert [set(trial.rungs) for trial in ended] == [{20, 50}, {20, 50}, set(), {20}]
    assert ended[0].value == ended[1].value
    assert ended[2].error == "diverged"
    assert [worker.worker for worker in list_workers(store)] == ["w1"]
