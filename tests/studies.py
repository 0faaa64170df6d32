"""Studies for tests of the store: a small space, a made-up offer, and proposals without a sampler."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import optuna

from search_spaces.results import StudyView
from search_spaces.space import resolve_space
from search_spaces.study import StudySpec, resolve_study
from search_spaces.work import (
    ClaimedTrial,
    ClaimRequest,
    FinishItem,
    FinishRequest,
    OfferedHorizon,
    OfferedTask,
    Report,
    ReportItem,
    ReportRequest,
    TaskVersion,
    Verbs,
)
from store import Store
from store.proposals import NewProposal, propose
from store.studies import own, submit

OFFER = OfferedTask(
    name="nothing",
    version="1",
    metric="loss",
    direction="minimize",
    horizon=OfferedHorizon(epochs=10, steps_per_epoch=10),
)
_claims = itertools.count()
TASKS = [TaskVersion(name="nothing", version="1")]


def study_spec(name: str = "mine", **fields: Any) -> StudySpec:
    """A spec of the made-up task with a budget of 10 trials."""
    body: dict[str, Any] = {"name": name, "task": {"name": "nothing"}, "budget": {"trials": 10}}
    return StudySpec.model_validate(body | fields)


def run_study(store: Store, name: str = "mine", **fields: Any) -> StudyView:
    """Submit a study that runs at once."""
    spec = study_spec(name, **fields)
    space = resolve_space(spec.space, spec.budget.trials)
    return submit(store, spec, resolved=resolve_study(spec, OFFER), space=space)


def add_proposals(store: Store, name: str = "mine", count: int = 10, first: int = 0, **fields: Any) -> None:
    """Propose `count` random points of the study's space."""
    study = next(live for live in own(store, "tests", 60) if live.name == name)
    assert study.space is not None
    rows = []
    for seq in range(first, first + count):
        dice = random.Random(seq)
        candidate, params = study.space.suggest(lambda _name, allowed, dice=dice: draw(allowed, dice))
        body: dict[str, Any] = {
            "seq": seq, "purpose": "search", "origin": "sampler", "candidate": candidate, "params": params, "seed": 0,
        }  # fmt: skip
        rows.append(NewProposal(**(body | fields)))
    propose(store, study.study_id, rows)


def draw(allowed: Any, dice: random.Random) -> Any:
    """A uniform point of a range."""
    if hasattr(allowed, "choices"):
        return dice.choice(allowed.choices)
    if hasattr(allowed, "integer"):
        return dice.randint(allowed.low, allowed.high)
    return dice.uniform(allowed.low, allowed.high)


def claim(verbs: Verbs, count: int = 1, worker: str = "w1", claim_id: str | None = None) -> list[ClaimedTrial]:
    """Claim trials of the made-up task."""
    request = ClaimRequest(worker=worker, claim_id=claim_id or f"{worker}-{next(_claims)}", tasks=TASKS, count=count)
    return verbs.claim(request).items


def report_item(trial: ClaimedTrial, *points: tuple[int, float], **fields: Any) -> ReportItem:
    """Reports of one trial, from (step, value) pairs."""
    reports = [Report(step=step, value=value) for step, value in points]
    return ReportItem(study=trial.study, number=trial.number, lease=trial.lease, reports=reports, **fields)


def report(verbs: Verbs, *items: ReportItem, worker: str = "w1") -> list[Any]:
    """Report and return the answers."""
    return verbs.report(ReportRequest(worker=worker, items=list(items))).items


def finish(verbs: Verbs, trial: ClaimedTrial, value: float | None = 0.5, **fields: Any) -> Any:
    """Finish one trial as complete (or as `fields` say) and return its answer."""
    body: dict[str, Any] = {"state": "complete", "value": value, "steps_done": trial.horizon_steps}
    item = FinishItem(study=trial.study, number=trial.number, lease=trial.lease, **(body | fields))
    return verbs.finish(FinishRequest(worker="w1", items=[item])).items[0]


@contextmanager
def stock_storage(url: str) -> Iterator[optuna.storages.BaseStorage]:
    """The store as stock Optuna opens it by its URL alone, closed afterwards."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.RDBStorage(url)
    try:
        yield optuna.storages.get_storage(storage)
    finally:
        storage.remove_session()
        storage.engine.dispose()


def stock_trials(url: str, name: str = "mine") -> list[optuna.trial.FrozenTrial]:
    """A study's trials as stock Optuna reads them."""
    with stock_storage(url) as storage:
        return optuna.load_study(study_name=name, storage=storage).trials
