"""A store with something of everything in it: a study with its answer, one that runs, a recurrence, tokens."""

from __future__ import annotations

import itertools
import threading
from typing import Any

from search_spaces.tokens import TokenRequest
from service.coordinator import Coordinator
from service.steps import step
from store import Store
from store.owning import live_study
from store.tokens import create_token
from tests.integration.service_simulation import drive, simulated
from tests.nights import FakeTime, moment_of, recur
from tests.studies import add_proposals, run_study

DONE, RUNNING, OUTSIDE, NIGHTLY, TOKEN = "finished", "running", "outside", "nightly", "reader"
NAMES = (DONE, RUNNING, OUTSIDE, NIGHTLY, TOKEN)
SPACE = {"optimizers": ["adamw"], "schedules": ["cosine"]}
OUTSIDE_STUDY: dict[str, Any] = {
    "name": "another",
    "task": {"name": "external"},
    "objective": {"metric": "loss", "direction": "minimize"},
    "horizon": {"steps": 100},
    "budget": {"trials": 8},
    "sampler": {"kind": "random"},
}
"""What a loop of somebody's own submits."""


class AtOnce:
    """A coordinator that takes its steps when it is told of news, before that is answered: nothing is waited for."""

    def __init__(self, store: Store, every: int = 1) -> None:
        self._store = store
        self._coordinator = Coordinator(store, "at once")
        self._lock = threading.Lock()
        self._news = itertools.count()
        self._every = every

    age_seconds = 0.0
    """It has always just been started: readiness does not ask whether the store has heard of it."""

    def nudge(self) -> None:
        """Take a step in every study, at each `every`-th of the news."""
        with self._lock:
            if next(self._news) % self._every == 0:
                self._coordinator.round()

    def attend(self, name: str) -> None:
        """Take every step that one study has to take now."""
        with self._lock:
            while step(self._store, live_study(self._store, name)):
                pass

    def trouble(self) -> str | None:
        """Say that all is well."""
        return None


def people(store: Store) -> None:
    """Fill a store; in about half a second."""
    worker = simulated(store)
    fields = {"space": SPACE, "sampler": {"kind": "random"}}
    run_study(store, DONE, budget={"trials": 2}, confirmation={"top": 1, "seeds": 2, "baselines": []}, **fields)
    drive(store, worker, DONE, coordinator=lambda: Coordinator(store, "peopling"))
    run_study(store, RUNNING, budget={"trials": 500}, **fields)
    add_proposals(store, RUNNING, count=40)
    for trial in worker.claim():
        worker.train(trial)
    recur(store, FakeTime(moment_of("2030-01-01T00:00:00+00:00")), NIGHTLY)


def guard(store: Store) -> str:
    """Put the store behind tokens; return the secret of an admin's, whose name is `keeper`."""
    secret = create_token(store, TokenRequest(name="keeper", scopes=["admin"])).token
    create_token(store, TokenRequest(name=TOKEN, scopes=["read"]))
    return secret
