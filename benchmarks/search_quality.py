"""Regret against compute: Étude's search beside others, by replay of recorded curves and live.

    python -m benchmarks.search_quality --tasks "quadratic B=4" digits-noisy --seeds 30
    python -m benchmarks.search_quality --tasks "digits-mlp, live" --seeds 8
    python -m benchmarks.search_quality --searches "Ray Tune, ASHA" "Syne Tune, ASHA"
    python -m benchmarks.search_quality --only-tables

Each search gets the same compute, in whole trainings. On the noisy quadratic it is live: every candidate's expected
curve is computed, with ", large" behind its name in the space of a study of 100 trials. So it is on a task named with
", live", where every proposal is trained on two seeds. Elsewhere a proposal is trained by a look into what is recorded
(benchmarks/data): the nearest candidate that this search has not had yet. Such a table is small: a search that prunes
early sees all of it in 40 trainings, so 20 are enough. The regret is that of the candidate with the best final metric
so far, on the noisy quadratic over the computed optimum (relative), elsewhere on the second seed over the best of the
table. Ended searches are kept under var/search_quality: the command goes on where it was stopped. Searches by Ray Tune
and Syne Tune need the extra `peers`, and run only if they are named.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .pruning.grounds import Place, place_of
from .pruning.peers import PEERS
from .pruning.recorded import tasks
from .pruning.searchers import SEARCHERS, Searcher, Shown

BUDGET = 40
"""Whole trainings that each search may spend."""
MOST_TRIALS = 3 * BUDGET
"""A budget in trials that does not bind."""
LOOKS = (5, 10, 20, 40, 60)
"""Trainings after which a table says where searches are: the last three within their budget."""
DIRECTORY = Path("var/search_quality")
REFERENCE = "TPE + MedianPruner"
EVERY = SEARCHERS | PEERS
RISKS = (5, 95)
DRAWS = 1000

Points = list[tuple[float, float]]
"""Compute spent so far, and the regret from there on."""
Curves = NDArray[np.float64]


class Running:
    """One search on its way."""

    def __init__(self, searcher: Searcher) -> None:
        self.searcher = searcher
        self.spent = 0.0
        self.used: set[int] = set()
        self.trials = 0
        self.points: Points = []
        self._best = np.inf

    def take(self, place: Place, shown: Shown) -> None:
        """Take a training as far as the search lets it go."""
        share, is_complete = self.searcher.take(shown)
        self.spent += share
        self.trials += 1
        if is_complete and shown.final < self._best:
            self._best = shown.final
            self.points.append((round(self.spent, 4), place.regret(shown)))


def searched(place: Place, name: str, seeds: Sequence[int], budget: float) -> list[Running]:
    """Run searches side by side, so that the noisy quadratic's curves are computed together."""
    running = [Running(EVERY[name](place.space, place.steps, seed, MOST_TRIALS)) for seed in seeds]
    while active := [one for one in running if one.spent < budget]:
        candidates = [one.searcher.propose() for one in active]
        for one, shown in zip(active, place.shown(candidates, [one.used for one in active]), strict=True):
            one.take(place, shown)
    return running


def fill(task: str, names: Sequence[str], seeds: int, budget: int = BUDGET) -> None:
    """Run what is not kept yet."""
    kept = read(task)
    place: Place | None = None
    for name in names:
        missing = [seed for seed in range(seeds) if (name, seed) not in kept]
        if not missing:
            continue
        place = place or place_of(task)
        ended = searched(place, name, missing, budget)
        DIRECTORY.mkdir(parents=True, exist_ok=True)
        with _file(task).open("a") as file:
            for seed, one in zip(missing, ended, strict=True):
                row = {"search": name, "seed": seed, "budget": budget, "trials": one.trials, "points": one.points}
                file.write(json.dumps(row) + "\n")


def read(task: str) -> dict[tuple[str, int], dict[str, Any]]:
    """Return the searches kept of a task, by name and seed."""
    if not _file(task).is_file():
        return {}
    rows = [json.loads(line) for line in _file(task).read_text().splitlines()]
    return {(row["search"], row["seed"]): row for row in rows}


def _file(task: str) -> Path:
    return DIRECTORY / f"{task}.jsonl"


# Tables


def curves_of(task: str, name: str) -> Curves:
    """Return the regrets of a search at 1, 2, ... trainings: (searches, budget); infinite before the first end."""
    rows = [row for (search, _), row in sorted(read(task).items()) if search == name]
    found = np.full((len(rows), _budget_of(rows)), np.inf)
    for row, points in enumerate(one["points"] for one in rows):
        for spent, regret in points:
            found[row, max(0, int(np.ceil(spent)) - 1) :] = regret
    return found


def _budget_of(rows: Sequence[Mapping[str, Any]]) -> int:
    """Return the trainings that all of these searches had."""
    return min((int(row.get("budget", BUDGET)) for row in rows), default=BUDGET)


def reach(found: Curves, goal: float) -> float:
    """Return the trainings after which the median search is at a regret; infinite where it is not."""
    there = np.flatnonzero(np.median(found, axis=0) <= goal)
    return float(there[0] + 1) if len(there) else np.inf


def _reach_interval(found: Curves, reference: Curves, at: int) -> tuple[float, float, float]:
    """Return the trainings to the reference's regret at `at`, and an interval over both sides' searches."""
    generator = np.random.default_rng(0)
    drawn = []
    for _ in range(DRAWS):
        own = found[generator.integers(len(found), size=len(found))]
        other = reference[generator.integers(len(reference), size=len(reference))]
        drawn.append(reach(own, float(np.median(other[:, at - 1]))))
    low, high = np.percentile(drawn, RISKS, method="nearest")
    return reach(found, float(np.median(reference[:, at - 1]))), float(low), float(high)


def table(task: str) -> str:
    """Return a task's table: regrets at a quarter, half and all of the budget, and the trainings to the reference's."""
    reference = curves_of(task, REFERENCE)
    most = _budget_of(list(read(task).values()))
    looks = [look for look in LOOKS if look <= most][-3:]
    rows = [
        f"| {task}: search | n | trials | regret at {looks[0]} | at {looks[1]} | at {looks[2]} "
        f"| trainings to the reference's at {looks[1]} | at {looks[2]} |",
        "|---" * 8 + "|",
    ]
    for name in EVERY:
        found = curves_of(task, name)
        if not len(found):
            continue
        trials = np.median([row["trials"] for (search, _), row in read(task).items() if search == name])
        cells = [_at(found, at) for at in looks]
        cells += (
            [_trainings(*_reach_interval(found, reference, at), most) for at in looks[1:]] if len(reference) else []
        )
        rows.append(f"| {name} | {len(found)} | {trials:.0f} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _at(found: Curves, at: int) -> str:
    low, middle, high = np.percentile(found[:, at - 1], (10, 50, 90), method="nearest")
    return f"{middle:.4f} [{low:.4f}, {high:.4f}]"


def _trainings(middle: float, low: float, high: float, most: int) -> str:
    shown = [f">{most}" if value > most else f"{value:.0f}" for value in (middle, low, high)]
    return f"{shown[0]} [{shown[1]}, {shown[2]}]"


def main(arguments: list[str] | None = None) -> int:
    """Run what is missing and print the tables."""
    text = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m benchmarks.search_quality", description=__doc__, formatter_class=text)
    parser.add_argument("--tasks", nargs="+", default=tasks(), help="default: all that are recorded")
    parser.add_argument("--searches", nargs="+", choices=list(EVERY), default=list(SEARCHERS))
    parser.add_argument("--seeds", type=int, default=30, help="searches of each kind (default: 30)")
    parser.add_argument("--budget", type=int, default=BUDGET, help=f"whole trainings (default: {BUDGET})")
    parser.add_argument("--only-tables", action="store_true", help="of what is kept")
    flags = parser.parse_args(arguments)
    for task in flags.tasks:
        if not flags.only_tables:
            fill(task, flags.searches, flags.seeds, flags.budget)
        print(f"\n{table(task)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
