"""The sides: each starts its parts, gets them warm, makes the search, and says what it took."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.peers.meter import read
from benchmarks.peers.ours import measure_ours
from benchmarks.peers.processes import CpuClock, started
from benchmarks.peers.search import Search
from benchmarks.peers.signs import Signs, wait_until
from benchmarks.peers.taken import Taken
from benchmarks.peers.with_optuna import JOURNAL, prepare
from tests.postgres import Postgres

WORKERS = 2
Measure = Callable[[Path, Search], Taken]


def measured(name: str, folder: Path, search: Search) -> Taken:
    """Make the search once by the side of that name, with its files in an empty folder."""
    load = os.getloadavg()[0]
    return SIDES[name](folder, search).named(name, load)


def _ours_on_postgres(folder: Path, search: Search) -> Taken:
    with _postgres() as (server, pid):
        return measure_ours(folder, search, server, [pid])


def _ours_on_sqlite(folder: Path, search: Search) -> Taken:
    return measure_ours(folder, search, f"sqlite:///{folder / 'store.db'}", [])


def _ours_alone(folder: Path, search: Search) -> Taken:
    with _postgres() as (server, pid):
        return measure_ours(folder, search, server, [pid], pack="1")


def _ours_at_random(folder: Path, search: Search) -> Taken:
    with _postgres() as (server, pid):
        return measure_ours(folder, search, server, [pid], sampler="random")


def _optuna_on_postgres(folder: Path, search: Search) -> Taken:
    with _postgres() as (server, pid):
        return _optuna(folder, search, server, [pid])


def _optuna_on_sqlite(folder: Path, search: Search) -> Taken:
    return _optuna(folder, search, f"sqlite:///{folder / 'store.db'}")


def _optuna_on_journal(folder: Path, search: Search) -> Taken:
    return _optuna(folder, search, f"{JOURNAL}{folder / 'journal.log'}")


def _optuna(folder: Path, search: Search, address: str, further: Sequence[int] = ()) -> Taken:
    prepare(address)
    return _by_processes(folder, search, "with_optuna", address, further=further)


def _ray(folder: Path, search: Search) -> Taken:
    return _by_processes(folder, search, "with_ray", processes=1)


def _bare(folder: Path, search: Search) -> Taken:
    return _by_processes(folder, search, "bare", str(WORKERS))


SIDES: Mapping[str, Measure] = {
    "etude-postgres": _ours_on_postgres,
    "optuna-postgres": _optuna_on_postgres,
    "etude-sqlite": _ours_on_sqlite,
    "optuna-sqlite": _optuna_on_sqlite,
    "optuna-journal": _optuna_on_journal,
    "etude-random": _ours_at_random,
    "ray-asha": _ray,
    "etude-one-by-one": _ours_alone,
    "bare": _bare,
}


@contextmanager
def _postgres() -> Iterator[tuple[str, int]]:
    """A server with its defaults: its URL and its first process."""
    server = Postgres()
    try:
        pid = int((server.data / "postmaster.pid").read_text().split()[0])
        yield server.url(), pid
    finally:
        server.remove()


def _by_processes(
    folder: Path, search: Search, module: str, *arguments: str, processes: int = WORKERS, further: Sequence[int] = ()
) -> Taken:
    """Let processes of a module make the search: all begin once each is warm, and end once all are done."""
    signs = Signs(folder)
    began = time.time()
    name, said = f"benchmarks.peers.{module}", search.model_dump_json()
    commands = [
        (folder / f"{module}-{place}.log", (name, str(folder), said, str(place), *arguments))
        for place in range(processes)
    ]
    with started(commands) as parts:

        def check() -> None:
            for part in parts:
                part.check()

        wait_until(lambda: len(signs.said("ready")) == WORKERS, check)
        before, clock = read(folder), CpuClock([*further, *(part.pid for part in parts)])
        submitted = time.time()

        def watch() -> None:
            check()
            clock.tick()

        def over() -> bool:
            return len(signs.said("done")) == processes

        signs.give("go")
        wait_until(lambda: over() or search.is_cut(submitted), watch)
        ended = max(signs.said("done")) if over() else time.time()
        spent, done = clock.seconds(), read(folder) - before
        signs.give("end")
        for part in parts:
            part.end(ask=not over())
    return Taken.between(search, submitted - began, ended - submitted, spent, done)
