"""What the tests of the frameworks' adapters share: a service over HTTP in this process, and leased trials of it."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from etude import Client
from etude.ask import LeasedTrial
from search_spaces.candidate import Candidate
from search_spaces.results import TrialView
from search_spaces.schedules import Plateau
from store import Store, open_store
from tests.integration.service_http import serving
from tests.studies import add_proposals, run_study

HORIZON = 40
COSINE: dict[str, Any] = {"kind": "cosine", "warmup": {"fraction": 0.15}}
PLATEAU: dict[str, Any] = {"kind": "plateau", "patience": 0.1, "factor": 0.5, "warmup": {"fraction": 0.15}}


class Service:
    """A service whose studies have the horizon HORIZON and minimise; no coordinator adds trials."""

    def __init__(self, store: Store, client: Client) -> None:
        self.store = store
        self.client = client
        self._names = (f"study-{number}" for number in itertools.count())

    def study(self, wish: Candidate, count: int = 1, **pruner: Any) -> str:
        """Make a study of `count` trials of one candidate, not pruned unless `pruner` says so; return its name."""
        name = next(self._names)
        run_study(self.store, name, pruner=pruner or {"kind": "none"}, horizon={"steps": HORIZON})
        add_proposals(self.store, name, count=count, candidate=wish, params={})
        return name

    @contextmanager
    def leased(self, name: str) -> Iterator[LeasedTrial]:
        """The study's next trial; what the block leaves open is given back."""
        with self.client.study(name).lease_trials(limit=1) as loop:
            yield next(loop)

    def prunes(self, wish: Candidate) -> str:
        """Make a study whose next trial is pruned at a rung, step 4, unless its loss is below 0.1."""
        name = self.study(wish, count=7, kind="median", rungs=[0.1], run_on=0.0)
        for trial in self.client.study(name).lease_trials(limit=6):
            trial.report(10, 0.1)
            trial.complete(0.1)
        return name

    def trial(self, name: str, number: int = 0) -> TrialView:
        """The trial, with its curve of reports."""
        return self.client.trial(name, number)


@contextmanager
def service(template: Path, directory: Path) -> Iterator[Service]:
    """The service on a store of its own, a copy of `template`."""
    shutil.copy(template, directory / "etude.db")
    store = open_store(f"sqlite:///{directory / 'etude.db'}")
    try:
        with serving(store) as http, Client(str(http.base_url)) as client:
            yield Service(store, client)
    finally:
        store.close()


def told_evaluations(trial: LeasedTrial) -> list[int | None]:
    """How many evaluations `trial.build` is told of; filled when it is called."""
    told: list[int | None] = []
    build = trial.build

    def noted(*given: Any, evaluations: int | None = None) -> Any:
        told.append(evaluations)
        return build(*given, evaluations=evaluations)

    trial.build = noted  # type: ignore[method-assign]
    return told


def followed(wish: Candidate, metrics: list[float], updates: int) -> tuple[list[float], np.ndarray[Any, Any]]:
    """A plateau's factor after each metric but the last, and its LR at each update; `updates` between two metrics."""
    assert isinstance(wish.schedule, Plateau)
    rule = wish.schedule.rule(len(metrics), "minimize")
    factors = [1.0, *(rule.feed(metric) for metric in metrics)][: len(metrics)]
    steps = len(metrics) * updates
    warmup = wish.schedule.warmup_factors(np.arange(steps), steps)
    return factors, wish.initial_lr * np.repeat(factors, updates) * warmup
