"""What coordinating one trial costs, Étude's verbs against Optuna's own path: `python -m benchmarks.coordination`.

A trial has 20 reports and four rungs. Both sides use one PostgreSQL, started for this measurement, and alternate in
one run. Optuna's side asks, suggests the same params, reports and asks should_prune 20 times, and tells, through
RDBStorage with a random sampler and its median pruner; ours claims, reports at each rung and finishes. The sampler's
own time is not part of ours: the coordinator draws ahead of demand (`proposals/s` in the second table).
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import optuna
from sqlalchemy import Engine, event

from search_spaces.work import FinishItem, FinishRequest
from service.sampling import BEST_KEPT, LATEST_KEPT, draw_points
from service.search import _drawing
from store import Store, open_store
from store.proposals import recent_history
from store.studies import own
from store.verbs import SqlVerbs
from tests.postgres import Postgres
from tests.studies import add_proposals, claim, report, report_item, run_study

RUNGS = (10, 20, 30, 50)
STEPS = list(range(5, 101, 5))


@dataclass
class Cost:
    """What one trial cost."""

    statements: float
    transactions: float
    cpu_ms: float
    wall_ms: float


@contextmanager
def counting(engine: Engine) -> Iterator[dict[str, int]]:
    """Count statements and commits that go through an engine."""
    counted = {"statements": 0, "transactions": 0}

    def statement(*_: Any) -> None:
        counted["statements"] += 1

    def commit(*_: Any) -> None:
        counted["transactions"] += 1

    event.listen(engine, "before_cursor_execute", statement)
    event.listen(engine, "commit", commit)
    event.listen(engine, "rollback", commit)
    try:
        yield counted
    finally:
        event.remove(engine, "before_cursor_execute", statement)
        event.remove(engine, "commit", commit)
        event.remove(engine, "rollback", commit)


def measured(engine: Engine, trials: int, act: Callable[[], None]) -> Cost:
    """Cost of `act` for each of its trials."""
    with counting(engine) as counted:
        wall, cpu = time.perf_counter(), time.process_time()
        act()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return Cost(
        counted["statements"] / trials, counted["transactions"] / trials, 1000 * cpu / trials, 1000 * wall / trials
    )


# Ours


def train_nothing(verbs: SqlVerbs, pack: int, name: str) -> None:
    """One pack from claim to finish, its 20 reports in a batch for each rung."""
    trials = claim(verbs, count=pack, worker=name)
    bounds = [0, *RUNGS]
    for low, high in pairwise(bounds):
        steps = [step for step in STEPS if low < step <= high]
        report(verbs, *(report_item(t, *((step, 1.0 + t.number * 1e-6) for step in steps)) for t in trials))
    rest = [(step, 1.0) for step in STEPS if step > RUNGS[-1]]
    items = [
        FinishItem(
            study=t.study, number=t.number, lease=t.lease, state="complete", value=1.0, steps_done=100,
            reports=report_item(t, *rest).reports,
        )
        for t in trials
    ]  # fmt: skip
    verbs.finish(FinishRequest(worker=name, items=items))


class Ours:
    """A study of ours, filled to a number of finished trials."""

    def __init__(self, url: str) -> None:
        self.store: Store = open_store(url, pool_size=1)
        run_study(self.store, "ours", budget={"trials": 90_000})
        self.verbs = SqlVerbs(self.store)
        self.made = 0

    def add(self, count: int) -> None:
        """Propose `count` more, never pruned."""
        add_proposals(self.store, "ours", count=count, first=self.made, prunable=False)
        self.made += count

    def fill(self, finished: int) -> None:
        """Finish trials until there are so many."""
        while self.made < finished:
            size = min(200, finished - self.made)
            self.add(size)
            train_nothing(self.verbs, size, "filler")

    def cost(self, pack: int) -> Cost:
        """Cost of a trial in a pack."""
        self.add(pack)
        return measured(self.store.engine, pack, lambda: train_nothing(self.verbs, pack, "measured"))

    def proposals_per_second(self) -> float:
        """How fast the coordinator draws on the history as it is, in a refill of 8."""
        live = next(study for study in own(self.store, "tests", 600) if study.name == "ours")
        began = time.perf_counter()
        past = recent_history(self.store, live.study_id, direction="minimize", best=BEST_KEPT, latest=LATEST_KEPT)
        from service.steps import search_of

        draw_points(_drawing(search_of(self.store, live)), past, list(range(self.made, self.made + 8)))
        return 8 / (time.perf_counter() - began)


# Optuna's


class Theirs:
    """A study of stock Optuna's on the same server."""

    def __init__(self, url: str) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.storage = optuna.storages.RDBStorage(url)
        cached = optuna.storages.get_storage(self.storage)
        self.study = optuna.create_study(
            storage=cached, sampler=optuna.samplers.RandomSampler(0), pruner=optuna.pruners.MedianPruner()
        )
        self.made = 0

    def fill(self, finished: int) -> None:
        """Add finished trials until there are so many."""
        shapes: dict[str, optuna.distributions.BaseDistribution] = {
            "optimizer": optuna.distributions.CategoricalDistribution(("sgd", "adam", "adamw")),
            "lr": optuna.distributions.FloatDistribution(1e-5, 1.0, log=True),
        }
        new = [
            optuna.create_trial(
                state=optuna.trial.TrialState.COMPLETE, value=1.0, params={"optimizer": "sgd", "lr": 0.1},
                distributions=shapes, intermediate_values=dict.fromkeys(STEPS, 1.0),
            )
            for _ in range(finished - self.made)
        ]  # fmt: skip
        self.study.add_trials(new)
        self.made = finished
        self.study.get_trials(deepcopy=False)  # the first look of a process is not a trial's cost

    def cost(self) -> Cost:
        """Cost of one trial by ask and tell."""
        self.made += 1
        return measured(self.storage.engine, 1, self._one)

    def _one(self) -> None:
        trial = self.study.ask()
        kind = trial.suggest_categorical("optimizer", ["sgd", "adam", "adamw"])
        trial.suggest_float("lr", 1e-5, 1.0, log=True)
        trial.suggest_float(f"{kind}.weight_decay", 1e-6, 1e-2, log=True)
        trial.suggest_categorical("schedule", ["linear", "cosine", "step"])
        trial.suggest_float("warmup", 0, 0.2)
        for step in STEPS:
            trial.report(1.0, step)
            trial.should_prune()
        self.study.tell(trial, 1.0)


def median_cost(costs: Sequence[Cost]) -> Cost:
    """Medians, field by field."""
    return Cost(*(statistics.median(getattr(cost, name) for cost in costs) for name in Cost.__annotations__))


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--finished", type=int, nargs="+", default=[0, 1000, 5000, 20000])
    parser.add_argument("--packs", type=int, nargs="+", default=[1, 32, 64])
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    server = Postgres()
    try:
        _measure(server, given.finished, given.packs, given.rounds)
    finally:
        server.remove()


def _measure(server: Postgres, finished: Sequence[int], packs: Sequence[int], rounds: int) -> None:
    ours, theirs = Ours(server.url()), Theirs(server.url())
    print(f"python {platform.python_version()}, optuna {optuna.__version__}, medians of {rounds}, one trial's share")
    print("| finished | who | pack | statements | transactions | client CPU ms | wall ms | Optuna's wall / ours |")
    print("|---|---|---|---|---|---|---|---|")
    for count in finished:
        ours.fill(count)
        theirs.fill(count)
        rows: dict[str | int, list[Cost]] = {"optuna": [], **{pack: [] for pack in packs}}
        for _ in range(rounds):
            rows["optuna"].append(theirs.cost())
            for pack in packs:
                rows[pack].append(ours.cost(pack))
        baseline = median_cost(rows["optuna"])
        _row(count, "Optuna", 1, baseline, baseline)
        for pack in packs:
            _row(count, "Étude", pack, median_cost(rows[pack]), baseline)
        print(f"| {count} | Étude's sampler, proposals/s with {ours.made} in history | | | | | |"
              f" {statistics.median(ours.proposals_per_second() for _ in range(3)):.1f} |", flush=True)  # fmt: skip
    ours.store.close()
    theirs.storage.remove_session()
    theirs.storage.engine.dispose()


def _row(finished: int, who: str, pack: int, cost: Cost, baseline: Cost) -> None:
    print(
        f"| {finished} | {who} | {pack} | {cost.statements:.1f} | {cost.transactions:.1f} | {cost.cpu_ms:.2f}"
        f" | {cost.wall_ms:.2f} | {baseline.wall_ms / cost.wall_ms:.1f} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
