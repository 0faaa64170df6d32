"""What coordinating a trial costs, ours against Optuna's own: `taskset -c 1 python -m benchmarks.coordination`.

A trial with 20 reports, from claim to finish, counted in SQL statements, transactions, CPU of the client and wall
time, on one PostgreSQL (started here, thrown away after) with a growing number of finished trials. Both sides draw
evenly from the same space. Ours once reports in a batch for each of four rungs, once with a decision at every report;
Optuna's does what its documentation shows (ask, suggest, 20 times report and should_prune, tell). The two alternate
in one process, medians are printed. The sampler's own time is a table apart, with TPE of the same settings.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import statistics
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import optuna
import psycopg
import sqlalchemy
from optuna.distributions import CategoricalDistribution, IntDistribution
from sqlalchemy import Engine, event

from benchmarks.filling import copy_database, multiply
from search_spaces.space import Space, resolve_space
from search_spaces.work import ClaimRequest, FinishItem, FinishRequest
from service.sampling import BEST_KEPT, LATEST_KEPT
from service.search import next_proposals
from service.steps import search_of
from store import Store, open_store
from store.optuna_bridge import distribution
from store.proposals import propose, recent_history, taken_places
from store.studies import own
from store.verbs import SqlVerbs
from tests.postgres import Postgres
from tests.studies import TASKS, add_proposals, report, report_item, run_study, study_spec

FOUR_RUNGS = (10, 20, 30, 50)
EVERY_RUNG = tuple(range(5, 100, 5))
STEPS = list(range(5, 101, 5))
SEEDS = 60
"""Trials made by the verbs, or by Optuna itself, of which a long history is copies."""
BUDGET = {"trials": 90_000}
Kind = Literal["tpe", "random"]


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


def measured(engine: Engine, trials: int, act: Callable[[], object]) -> Cost:
    """Cost of `act` for each of its trials."""
    with counting(engine) as counted:
        wall, cpu = time.perf_counter(), time.process_time()
        act()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return Cost(
        counted["statements"] / trials, counted["transactions"] / trials, 1000 * cpu / trials, 1000 * wall / trials
    )


# Ours


def train_nothing(
    verbs: SqlVerbs, pack: int, worker: str, rungs: Sequence[int] = FOUR_RUNGS, study: str | None = None
) -> None:
    """One pack from claim to finish, its 20 reports in a batch for each rung.

    It is better than those before it, and its trials are alike, so that none is pruned.
    """
    asked = ClaimRequest(worker=worker, claim_id=uuid.uuid4().hex, tasks=TASKS, count=pack, study=study)
    trials = verbs.claim(asked).items
    if len(trials) != pack:
        raise RuntimeError(f"{len(trials)} of {pack} trials claimed")
    value = 1.0 - trials[0].number * 1e-6
    bounds = [0, *rungs]
    for low, high in pairwise(bounds):
        steps = [step for step in STEPS if low < step <= high]
        report(verbs, *(report_item(t, *((step, value) for step in steps)) for t in trials))
    rest = [(step, 1.0) for step in STEPS if step > rungs[-1]]
    items = [
        FinishItem(
            study=t.study, number=t.number, lease=t.lease, state="complete", value=1.0 + (37 * t.number % 101) / 100,
            steps_done=100, reports=report_item(t, *rest).reports,
        )
        for t in trials
    ]  # fmt: skip
    verbs.finish(FinishRequest(worker=worker, items=items))


class Ours:
    """A study of ours, `name`, with a decision at each of `rungs`."""

    def __init__(self, url: str, name: str, rungs: Sequence[int]) -> None:
        self.name = name
        self.rungs = rungs
        self.store: Store = open_store(url, pool_size=1)
        self.for_verbs = self.store.for_verbs(pool_size=1)
        self.verbs = SqlVerbs(self.for_verbs)

    def submit(self) -> None:
        """Make the study."""
        run_study(self.store, self.name, budget=BUDGET, pruner={"rungs": [rung / 100 for rung in self.rungs]})

    def seed(self, count: int) -> None:
        """Finish the study's first `count` trials, in one pack."""
        add_proposals(self.store, self.name, count=count, prunable=False)
        train_nothing(self.verbs, count, "filler", self.rungs, self.name)

    def cost(self, first: int, pack: int) -> Cost:
        """Cost of a trial in a pack."""
        add_proposals(self.store, self.name, count=pack, first=first)
        return measured(
            self.for_verbs.engine, pack, lambda: train_nothing(self.verbs, pack, "measured", self.rungs, self.name)
        )

    def draw(self, wanted: int) -> Cost:
        """Cost of a proposal in a refill of `wanted`: history read, points drawn, rows written."""
        live = next(study for study in own(self.store, "tests", 600) if study.name == self.name)
        search = search_of(self.store, live)

        def refill() -> None:
            past = recent_history(self.store, live.study_id, direction="minimize", best=BEST_KEPT, latest=LATEST_KEPT)
            taken = taken_places(self.store, live.study_id)
            propose(self.store, live.study_id, next_proposals(search, past, wanted, taken))

        return measured(self.store.engine, wanted, refill)

    def close(self) -> None:
        """Close the connections."""
        self.verbs.close()
        self.store.close()


# Optuna's


class Theirs:
    """A study of stock Optuna's on the same server, of the same space."""

    def __init__(self, url: str, kind: Kind = "random") -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.RandomSampler(seed=0) if kind == "random" else _tpe()
        self.space: Space = resolve_space(study_spec().space, BUDGET["trials"])
        self.storage = optuna.storages.RDBStorage(url)
        self.study = optuna.create_study(
            study_name="theirs", load_if_exists=True, storage=optuna.storages.get_storage(self.storage),
            sampler=sampler, pruner=optuna.pruners.MedianPruner(),
        )  # fmt: skip

    def load(self) -> float:
        """Read the history as every process of Optuna's does at its first trial; seconds."""
        began = time.perf_counter()
        self.study.get_trials(deepcopy=False)
        return time.perf_counter() - began

    def cost(self) -> Cost:
        """Cost of one trial by ask and tell."""
        return measured(self.storage.engine, 1, self.one)

    def draw_cost(self) -> Cost:
        """Cost of a trial's beginning, up to its last parameter."""
        return measured(self.storage.engine, 1, self.begin)

    def begin(self) -> optuna.Trial:
        """Ask for a trial and its parameters."""
        trial = self.study.ask()
        self.space.suggest(lambda name, allowed: suggest(trial, name, distribution(allowed)))
        return trial

    def one(self) -> None:
        """One trial from beginning to end, better or worse by turns."""
        trial = self.begin()
        for step in STEPS:
            trial.report(1.0 + random.Random(trial.number).random(), step)
            trial.should_prune()
        self.study.tell(trial, 1.0 + random.Random(trial.number).random())

    def close(self) -> None:
        """Close the connections."""
        self.storage.remove_session()
        self.storage.engine.dispose()


def _tpe() -> optuna.samplers.BaseSampler:
    return optuna.samplers.TPESampler(multivariate=False, constant_liar=True, seed=0)


def suggest(trial: optuna.Trial, name: str, allowed: optuna.distributions.BaseDistribution) -> Any:
    """Ask a trial for a parameter, by its distribution."""
    if isinstance(allowed, CategoricalDistribution):
        return trial.suggest_categorical(name, allowed.choices)
    if isinstance(allowed, IntDistribution):
        return trial.suggest_int(name, allowed.low, allowed.high)
    assert isinstance(allowed, optuna.distributions.FloatDistribution)
    return trial.suggest_float(name, allowed.low, allowed.high, log=allowed.log)


# Tables


def median_cost(costs: Sequence[Cost]) -> Cost:
    """Medians, field by field."""
    return Cost(*(statistics.median(getattr(cost, name) for cost in costs) for name in Cost.__annotations__))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--finished", type=int, nargs="+", default=[0, 1000, 5000, 20000])
    parser.add_argument("--packs", type=int, nargs="+", default=[1, 32, 64])
    parser.add_argument("--histories", type=int, nargs="*", default=[200, 1000, 20000])
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    server = Postgres()
    try:
        with psycopg.connect(server.url().replace("+psycopg", "")) as connection:
            version = connection.info.server_version // 10_000, connection.info.server_version % 10_000
        print(f"PostgreSQL {version[0]}.{version[1]}, Python {platform.python_version()}, Optuna {optuna.__version__},"
              f" SQLAlchemy {sqlalchemy.__version__}, psycopg {psycopg.__version__},"
              f" on core(s) {sorted(os.sched_getaffinity(0))}; medians of {given.rounds} [least-most],"
              " one trial's share")  # fmt: skip
        histories = Histories(server)
        _coordination(histories, given.finished, given.packs, given.rounds)
        _sampling(histories, given.histories)
    finally:
        server.remove()


class Histories:
    """Databases in which each of three studies has a number of finished trials, made when first asked for."""

    def __init__(self, server: Postgres) -> None:
        self.server = server
        self.made: dict[int, str] = {}
        self._prepare()

    def url(self, finished: int) -> str:
        """The database with so many; what is measured there adds a few hundred."""
        if finished not in self.made:
            url = copy_database(self.server.url(), "seeded" if finished else "empty", f"finished_{finished}")
            for study in ("four", "every", "theirs") if finished else ():
                multiply(url, study, finished)
            self.made[finished] = url
        return self.made[finished]

    def _prepare(self) -> None:
        """Make the databases `empty`, its studies without trials, and `seeded`, with a few finished ones in each."""
        url = copy_database(self.server.url(), "template1", "empty")
        self._seed(url, 0)
        self._seed(copy_database(self.server.url(), "empty", "seeded"), SEEDS)

    def _seed(self, url: str, trials: int) -> None:
        for name, rungs in (("four", FOUR_RUNGS), ("every", EVERY_RUNG)):
            ours = Ours(url, name, rungs)
            ours.seed(trials) if trials else ours.submit()
            ours.close()
        theirs = Theirs(url)
        for _ in range(trials):
            theirs.one()
        theirs.close()


Rows = dict[tuple[str, int], list[Cost]]


def _coordination(histories: Histories, finished: Sequence[int], packs: Sequence[int], rounds: int) -> None:
    print("\n| finished | who | decisions | pack | statements | transactions | client CPU ms | wall ms |"
          " statements, Optuna's / ours | wall, Optuna's / ours |\n|" + "---|" * 10)  # fmt: skip
    medians: dict[int, dict[tuple[str, int], Cost]] = {}
    for count in finished:
        rows = _rounds(histories.url(count), count, packs, rounds)
        medians[count] = {key: median_cost(costs) for key, costs in rows.items()}
        for key in rows:
            _row(count, key, rows[key], medians[count])
    least, most = min(finished), max(finished)
    print(f"\n| decisions | pack | wall at {most} / at {least} |\n|---|---|---|")
    for (who, pack), cost in medians[most].items():
        print(f"| {who} | {pack} | {cost.wall_ms / medians[least][who, pack].wall_ms:.2f} |", flush=True)


def _rounds(url: str, finished: int, packs: Sequence[int], rounds: int) -> Rows:
    """Measure the sides in turn; the first round is not kept."""
    sides = [(Ours(url, "four", FOUR_RUNGS), pack) for pack in packs] + [(Ours(url, "every", EVERY_RUNG), 1)]
    theirs = Theirs(url)
    seconds = theirs.load()
    print(f"(Optuna's first look at {finished} trials: {seconds:.1f} s, not counted)", flush=True)
    rows: Rows = {}
    places = {"four": finished, "every": finished}
    for turn in range(rounds + 1):
        costs = {("optuna", 1): theirs.cost()}
        for ours, pack in sides:
            costs[ours.name, pack] = ours.cost(places[ours.name], pack)
            places[ours.name] += pack
        for key, cost in costs.items() if turn else ():
            rows.setdefault(key, []).append(cost)
    for ours, _ in sides:
        ours.close()
    theirs.close()
    return rows


def _row(finished: int, key: tuple[str, int], costs: Sequence[Cost], medians: dict[tuple[str, int], Cost]) -> None:
    who = {"optuna": "Optuna | at 20 reports", "four": "Étude | at 4 rungs", "every": "Étude | at 19 of 20 reports"}
    cost, baseline = median_cost(costs), medians["optuna", 1]
    walls = [cost.wall_ms for cost in costs]
    print(
        f"| {finished} | {who[key[0]]} | {key[1]} | {cost.statements:.2f} | {cost.transactions:.2f}"
        f" | {cost.cpu_ms:.2f} | {cost.wall_ms:.2f} [{min(walls):.2f}-{max(walls):.2f}]"
        f" | {baseline.statements / cost.statements:.1f} | {baseline.wall_ms / cost.wall_ms:.1f} |",
        flush=True,
    )


def _sampling(histories: Histories, sizes: Sequence[int]) -> None:
    print("\n| history | who | drawn at once | proposals/s | ms a proposal | statements a proposal |\n|" + "---|" * 6)
    for size in sizes:
        ours = Ours(histories.url(size), "four", FOUR_RUNGS)
        ours.draw(16)  # the baselines, which nothing draws
        for wanted in (8, 32):
            _sampled(size, "Étude", wanted, [ours.draw(wanted) for _ in range(5)])
        ours.close()
        theirs = Theirs(histories.url(size), "tpe")
        theirs.load()
        _sampled(size, "Optuna", 1, [theirs.draw_cost() for _ in range(6)])
        theirs.close()


def _sampled(history: int, who: str, wanted: int, costs: Sequence[Cost]) -> None:
    """Print a row; the first cost is a warming up."""
    cost = median_cost(costs[1:])
    print(f"| {history} | {who} | {wanted} | {1000 / cost.wall_ms:.1f} | {cost.wall_ms:.1f}"
          f" | {cost.statements:.2f} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
