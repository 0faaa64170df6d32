"""The cost of coordination, in SQL statements as the database driver is handed them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import event

from search_spaces.work import Held, ReleaseItem, ReleaseRequest, RenewRequest
from store import Store
from store.verbs import SqlVerbs
from tests.studies import add_proposals, claim, finish, report, report_item, run_study

EACH_VERB = {"postgresql": 2, "sqlite": 5}
PER_TRIAL_FOUR_RUNGS = {"postgresql": 12, "sqlite": 30}
PER_TRIAL_EVERY_REPORT = {"postgresql": 44, "sqlite": 110}
PER_TRIAL_IN_PACK = {"postgresql": 2.0, "sqlite": 4.0}
EVERY_REPORT = [round(0.05 * n, 2) for n in range(1, 20)]


@contextmanager
def counted(store: Store) -> Iterator[list[str]]:
    """Collect the statements of a block, without those that begin or end a transaction."""
    seen: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, _p: Any, _context: Any, _many: bool) -> None:
        if not statement.lstrip().upper().startswith(("BEGIN", "COMMIT")):
            seen.append(statement)

    event.listen(store.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(store.engine, "before_cursor_execute", note)


def one_pack(store: Store, size: int, batches: list[list[int]]) -> list[int]:
    """Train nothing for `size` trials with 20 reports each in `batches`; return the statements of each verb."""
    verbs = SqlVerbs(store)
    spent = []
    with counted(store) as seen:
        trials = claim(verbs, count=size)
        assert len(trials) == size
        spent.append(len(seen))
        for steps in batches:
            before = len(seen)
            items = [report_item(t, *((s, 1.0 + t.number / s) for s in steps)) for t in trials]
            answers = report(verbs, *items)
            trials = [t for t, a in zip(trials, answers, strict=True) if a.directive == "continue"]
            spent.append(len(seen) - before)
        before = len(seen)
        for trial in trials if size == 1 else []:
            finish(verbs, trial)
        spent.append(len(seen) - before)
    return spent


def twenty_reports(rungs: list[int]) -> list[list[int]]:
    """The steps 5, 10, ... 100, in a batch for each rung (the rest comes with the finish)."""
    steps = list(range(5, 101, 5))
    bounds = [0, *rungs]
    return [[s for s in steps if low < s <= high] for low, high in pairwise(bounds)]


@pytest.mark.parametrize("finished", [0, 300])
def test_a_trial_with_four_rungs(store: Store, finished: int) -> None:
    """Each verb stays at its number of statements, however many trials have finished."""
    run_study(store, budget={"trials": finished + 1})
    fill(store, finished)
    add_proposals(store, count=1, first=finished)

    spent = one_pack(store, 1, twenty_reports([10, 20, 30, 50]))

    assert max(spent) <= EACH_VERB[store.dialect.name]
    assert sum(spent) <= PER_TRIAL_FOUR_RUNGS[store.dialect.name]


def test_a_decision_at_every_report(store: Store) -> None:
    """With a rung at each of 20 reports the cost is a verb's for each, no more."""
    run_study(store, pruner={"rungs": EVERY_REPORT})
    add_proposals(store, count=1)

    spent = one_pack(store, 1, [[step] for step in range(5, 101, 5)])

    assert max(spent) <= EACH_VERB[store.dialect.name]
    assert sum(spent) <= PER_TRIAL_EVERY_REPORT[store.dialect.name]


def test_a_pack_of_thirty_two(store: Store) -> None:
    """A pack reports in one round trip: its statements are shared by its trials."""
    run_study(store, budget={"trials": 32})
    add_proposals(store, count=32)

    spent = one_pack(store, 32, twenty_reports([10, 20, 30, 50]))

    assert max(spent) <= EACH_VERB[store.dialect.name]
    assert sum(spent) / 32 <= PER_TRIAL_IN_PACK[store.dialect.name]


def test_a_prune_costs_no_more_than_a_verb_may(store: Store) -> None:
    """The report that prunes stays within the limit, a full curve tail beside it."""
    run_study(store)
    add_proposals(store, count=8)
    verbs = SqlVerbs(store)
    trials = claim(verbs, count=8)
    long = [(step / 20, 1.0) for step in range(1, 200)]
    points = [(round(step * 20), value) for step, value in long if step * 20 < 10]

    with counted(store) as seen:
        answers = report(verbs, *(report_item(t, *points, (10, float(t.number))) for t in trials))

    assert "prune" in [answer.directive for answer in answers]
    assert len(seen) <= EACH_VERB[store.dialect.name]


def test_renew_and_release(store: Store) -> None:
    """The verbs beside a trial's own path are as short."""
    run_study(store)
    add_proposals(store, count=2)
    verbs = SqlVerbs(store)
    trials = claim(verbs, count=2)
    held = [Held(study=t.study, number=t.number, lease=t.lease) for t in trials]
    gifts = [ReleaseItem(study=t.study, number=t.number, lease=t.lease) for t in trials]

    with counted(store) as renewing:
        verbs.renew(RenewRequest(worker="w1", items=held))
    with counted(store) as releasing:
        verbs.release(ReleaseRequest(worker="w1", items=gifts))

    assert (len(renewing), len(releasing)) == (2, 2)


def fill(store: Store, count: int) -> None:
    """Finish `count` trials, in packs."""
    verbs = SqlVerbs(store)
    add_proposals(store, count=count, prunable=False)
    while trials := claim(verbs, count=100):
        for trial in trials:
            finish(verbs, trial, value=float(trial.number))
