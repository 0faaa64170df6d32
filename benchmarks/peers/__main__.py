"""Étude beside its peers on one search: `python -m benchmarks.peers` (needs the extra `peers`).

digits-mlp, 128 trials of 30 epochs, optimizer x initial LR x schedule; halving that keeps 0.69 at 0.1, 0.2, 0.3 and
0.5 of the horizon. Two processes train, with one thread each, on every side, and every side builds and trains a
candidate with the same code. The clock runs from submitting the search, with services and processes up and warm, to
the last result; start-up is shown apart. The sides take turns in each round; medians are printed, with the least and
the most. CPU seconds are those of every process that a side has, databases included.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from benchmarks.peers.search import REPORTS, Search, Trainer
from benchmarks.peers.sides import SIDES, measured
from benchmarks.peers.taken import Taken, table

PACKAGES = ("torch", "optuna", "ray", "sqlalchemy", "psycopg")


def main() -> None:
    """Take turns, and print a line for each search and then the table."""
    given = _parser().parse_args()
    rows = [Taken.model_validate_json(line) for path in given.add for line in path.read_text().splitlines()]
    print(f"Python {platform.python_version()}, {', '.join(f'{name} {version(name)}' for name in PACKAGES)},"
          f" cores {sorted(os.sched_getaffinity(0))}")  # fmt: skip
    stretch = _stretch(given.seconds_per_trial)
    for number in range(given.first_round, given.first_round + given.rounds):
        search = Search(trials=given.trials, stretch=stretch, seed=number, longest=given.cut_after)
        for name in given.only:
            rows.append(_once(name, search))
            if given.save is not None:
                with given.save.open("a") as saved:
                    saved.write(rows[-1].model_dump_json() + "\n")
    print(table(rows))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--first-round", type=int, default=1, help="its number is the seed of the round")
    parser.add_argument("--only", nargs="+", choices=list(SIDES), default=list(SIDES))
    parser.add_argument(
        "--seconds-per-trial", type=float, metavar="S",
        help="lengthen the horizon so that a full training alone takes about so long (default: 30 epochs)",
    )  # fmt: skip
    parser.add_argument(
        "--cut-after", type=float, metavar="S",
        help="end a search after so long; compare epochs then, since trials in training are not counted",
    )  # fmt: skip
    parser.add_argument("--save", type=Path, metavar="FILE", help="append each search to a file, as JSON")
    parser.add_argument("--add", type=Path, metavar="FILE", nargs="+", default=[], help="searches for the table")
    return parser


def _once(name: str, search: Search) -> Taken:
    with tempfile.TemporaryDirectory(prefix="etude-peers-") as folder:
        taken = measured(name, Path(folder), search)
    print(
        f"round {search.seed}, {name}: {taken.seconds:.1f} s, {taken.trials} trials, load {taken.load:.1f}", flush=True
    )
    return taken


def _stretch(seconds: float | None) -> int:
    """Return how many times 30 epochs take so long."""
    if seconds is None:
        return 1
    import torch

    from benchmarks.peers.meter import Meter

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        search = Search(trials=1)
        trainer = Trainer(search, Meter(Path(folder)))
        trainer.warm_up()
        began = time.perf_counter()
        evaluations = sum(1 for _ in trainer.evaluations(search.drawn(0)))
    alone = (time.perf_counter() - began) * REPORTS / evaluations
    return max(1, round(seconds / alone))


if __name__ == "__main__":
    main()
