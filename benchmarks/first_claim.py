"""What it takes a new worker process to get its first trial: `taskset -c 0 python -m benchmarks.first_claim`.

Seconds from the start of the process to its first claim, and its memory then, on an empty study and on one with
20,000 finished trials: ours (a process that claims over SQL and imports no torch) against stock Optuna (a process
that loads the same study with RDBStorage and TPESampler and asks once), alternating, each process on its own.
Both read the same tables of one PostgreSQL, with the params and four intermediate values of every trial.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

import optuna
import sqlalchemy

from benchmarks.full_study import full_study
from store import open_store
from tests.postgres import Postgres
from tests.studies import add_proposals

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Fill two databases, start the processes in turn, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--finished", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    server = Postgres()
    try:
        stores = {count: _filled(server, count, given.rounds) for count in (0, given.finished)}
        _measure(stores, given.rounds)
    finally:
        server.remove()


def _filled(server: Postgres, finished: int, proposals: int) -> str:
    """Make a database with a study of so many finished trials, and a proposal for each process of ours."""
    name = f"study_of_{finished}"
    engine = sqlalchemy.create_engine(server.url(), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine.dispose()
    store = open_store(server.url(name), pool_size=1)
    full_study(store, finished)
    add_proposals(store, count=proposals, first=finished)
    store.close()
    return server.url(name)


def _measure(stores: dict[int, str], rounds: int) -> None:
    print(
        f"python {platform.python_version()}, optuna {optuna.__version__}, sqlalchemy {sqlalchemy.__version__},"
        f" medians of {rounds} processes (least to most)"
    )
    print("| finished trials | who | seconds to the first trial | memory MiB |\n|---|---|---|---|")
    taken: dict[tuple[int, str], list[tuple[float, float]]] = {}
    for _ in range(rounds):
        for finished, url in stores.items():
            for who in ("Optuna", "Étude"):
                taken.setdefault((finished, who), []).append(_start(who, url))
    for (finished, who), rows in taken.items():
        seconds, memory = zip(*rows, strict=True)
        print(f"| {finished} | {who} | {_spread(seconds, '.2f')} | {_spread(memory, '.0f')} |")


def _spread(values: tuple[float, ...], digits: str) -> str:
    return f"{statistics.median(values):{digits}} ({min(values):{digits}} to {max(values):{digits}})"


def _start(who: str, url: str) -> tuple[float, float]:
    """Start a process, and return its seconds to the first trial and its MiB at that moment."""
    command = [sys.executable, "-m", "benchmarks.starting", who, url]
    began = time.time()
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    said = json.loads(done.stdout)
    return said["at"] - began, said["mib"]


if __name__ == "__main__":
    main()
