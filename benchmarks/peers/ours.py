"""Étude's side: the service and its workers as users start them; a first small study gets them warm.

The confirmation is not counted: the search has its last result when the store has ended its last trial, and the study
is stopped then.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from sqlalchemy import Engine, create_engine, text

from benchmarks.peers.meter import read
from benchmarks.peers.processes import ONE_THREAD, ROOT, CpuClock
from benchmarks.peers.search import PRUNER, SPACE, Search
from benchmarks.peers.signs import wait_until
from benchmarks.peers.taken import Taken
from etude.client import Client
from etude.parts import Parts
from etude.process import Part
from etude.settings import PartsSettings
from search_spaces.study import BudgetSpec, ConfirmationSpec, HorizonSpec, SamplerSpec, StudySpec, TaskSpec
from store.states import ENDED_TRIAL
from tests.postgres import free_port
from workers.bench import NOT_MEASURED

Kind = Literal["tpe", "random"]
WORKERS = ("worker-1", "worker-2")
WARM_UP, STUDY = "warm-up", "peers"
ENDED = text(
    "SELECT count(*) FROM etude_proposals p JOIN etude_studies s ON s.id = p.study_id"
    f" WHERE s.name = :name AND p.purpose = 'search' AND p.state IN ({', '.join(map(repr, sorted(ENDED_TRIAL)))})"
)


def measure_ours(
    folder: Path, search: Search, store: str, further: Sequence[int], *, pack: str = "auto", sampler: Kind = "tpe"
) -> Taken:
    """Make the search with the service and two workers on a store.

    Args:
        folder: empty.
        search: what is searched.
        store: URL of the store.
        further: the first processes of what the store runs in.
        pack: the most trials at once in a worker, or `auto`.
        sampler: what draws the candidates.
    """
    began = time.time()
    settings = PartsSettings(folder, store).on_ports(free_port(), free_port())
    engine = create_engine(store)
    with Parts(settings, ROOT) as parts, Client(settings.url) as client:
        parts.start_service()
        service = next(iter(parts))
        workers = [_worker(parts, folder, search, name, pack) for name in WORKERS]
        _warm(parts, client, search)
        pids = [*further, service.pid, *(worker.pid for worker in workers)]
        before, all_parts, training = read(folder), CpuClock(pids), CpuClock(worker.pid for worker in workers)
        submitted = time.time()
        client.submit(_study(search, sampler=sampler))
        ended, trials = _wait(parts, engine, search, submitted)
        spent, done, of_workers = all_parts.seconds(), read(folder) - before, training.seconds()
        client.stop(STUDY)
    engine.dispose()
    taken = Taken.between(search, submitted - began, ended - submitted, spent, done)
    return taken.model_copy(update={"workers": of_workers, "trials": trials})


def _worker(parts: Parts, folder: Path, search: Search, name: str, pack: str) -> Part:
    return parts.start(
        name, "benchmarks.peers.our_worker", str(folder), search.model_dump_json(), name, pack, environ=ONE_THREAD
    )


def _warm(parts: Parts, client: Client, search: Search) -> None:
    """Give both workers something to train until each has measured how it packs; then end all of it."""
    studies = 0
    while not _all_measured(client):
        studies += 1
        name = f"{WARM_UP}-{studies}"
        warm_up = search.model_copy(update={"trials": 40, "seed": 1000})
        client.submit(_study(warm_up, name))
        parts.wait_until(lambda: _all_measured(client) or client.view(name).state == "confirming", "no worker is warm")  # noqa: B023
        client.stop(name)
    parts.wait_until(lambda: not any(worker.leased for worker in client.workers()), "the warm-up goes on")


def _all_measured(client: Client) -> bool:
    known = [offer.packing for worker in client.workers() for offer in worker.tasks]
    return len(known) == len(WORKERS) and all(packing != NOT_MEASURED for packing in known)


def _study(search: Search, name: str = STUDY, sampler: Kind = "tpe") -> StudySpec:
    return StudySpec(
        name=name,
        task=TaskSpec(name=search.task_kind.name),
        horizon=HorizonSpec(steps=search.horizon_steps),
        space=SPACE,
        budget=BudgetSpec(trials=search.trials),
        pruner=PRUNER,
        sampler=SamplerSpec(kind=sampler),
        confirmation=ConfirmationSpec(baselines=[]),
        seed=search.seed,
    )


def _wait(parts: Parts, engine: Engine, search: Search, submitted: float) -> tuple[float, int]:
    """Wait until the store has ended all trials or time is up; return when that was, and how many have ended."""
    with engine.connect() as connection:
        asking = connection.execution_options(isolation_level="AUTOCOMMIT")
        last_check = time.monotonic()

        def ended() -> int:
            return int(asking.execute(ENDED, {"name": STUDY}).scalar_one())

        def check() -> None:
            nonlocal last_check
            if time.monotonic() - last_check > 1:
                parts.check()
                last_check = time.monotonic()

        wait_until(lambda: ended() == search.trials or search.is_cut(submitted), check)
        return time.time(), ended()
