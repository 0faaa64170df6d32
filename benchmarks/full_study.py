"""The study that the benchmarks of reading and of starting look at: thousands of finished trials of 20 reports each."""

from __future__ import annotations

from benchmarks.filling import multiply
from search_spaces.work import ClaimedTrial, FinishItem, FinishRequest
from store import Store
from store.studies import disown
from store.verbs import SqlVerbs
from tests.studies import add_proposals, claim, report, report_item, run_study

ORIGINALS = 200
"""Trials made by the verbs, each another point of the space; the others are copies of them."""
RUNGS = (10, 20, 30, 50)
STEPS = range(5, 101, 5)


def full_study(store: Store, finished: int, name: str = "mine") -> None:
    """Make a running study on PostgreSQL with `finished` trials: none, or at least 200."""
    run_study(store, name, budget={"trials": 100_000})
    if finished == 0:
        return
    add_proposals(store, name, count=ORIGINALS, prunable=False)
    _train(SqlVerbs(store), claim(SqlVerbs(store), count=ORIGINALS, worker="filler"))
    disown(store, "tests")  # a coordinator is to have it at once
    multiply(store.url, name, finished)


def _train(verbs: SqlVerbs, trials: list[ClaimedTrial]) -> None:
    """Report up to each rung, and the rest with the end."""
    low = 0
    for rung in RUNGS:
        items = [report_item(trial, *_points(trial, low, rung)) for trial in trials]
        report(verbs, *items, worker="filler")
        low = rung
    verbs.finish(FinishRequest(worker="filler", items=[_end(trial, low) for trial in trials]))


def _end(trial: ClaimedTrial, after: int) -> FinishItem:
    rest = report_item(trial, *_points(trial, after, trial.horizon_steps))
    held = rest.model_dump(include={"study", "number", "lease", "reports"})
    value = _loss(trial.number, trial.horizon_steps)
    return FinishItem(**held, state="complete", value=value, steps_done=trial.horizon_steps, worker_seconds=2.5)


def _points(trial: ClaimedTrial, after: int, until: int) -> list[tuple[int, float]]:
    return [(step, _loss(trial.number, step)) for step in STEPS if after < step <= until]


def _loss(number: int, step: int) -> float:
    return 1 + number / 1000 + 1 / step
