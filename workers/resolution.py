"""`python -m workers.resolution digits-noisy`: how finely a task tells schedules apart.

One optimizer with several families of schedules: each family's learning rate is tuned by its mean over three seeds,
by half decades, then by quarters about the best. At its best rate each family is trained on fresh seeds. The noise of
the task is the standard deviation of the decision metric over these seeds at the best family; its resolution is the
distance between the best family's mean and the worst's, in units of that noise. Under 3 the task is a smoke test:
most comparisons on it are of seeds.

What was trained is kept in a file, line by line: the command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from etude.task import Task, task_version
from search_spaces.candidate import Candidate

from .bench import Opening, alone
from .packing.measure import packed
from .tasks import named
from .trained import Wanted, train

FAMILIES: dict[str, dict[str, Any]] = {
    "constant": {"kind": "constant"},
    "step": {"kind": "step", "step_size": 0.34, "gamma": 0.1},
    "exponential": {"kind": "exponential", "final_factor": 0.01},
    "linear": {"kind": "linear"},
    "cosine": {"kind": "cosine"},
    "wsd": {"kind": "wsd", "decay_fraction": 0.2},
    "one_cycle": {"kind": "one_cycle"},
}
SMOKE = 3.0
"""A task whose resolution is less is a smoke test."""
EXPONENTS = {"sgd": range(-12, 1, 2), "adagrad": range(-10, 3, 2)}
"""Of the first learning rates, 10 ** (k / 4), by optimizer."""
OTHER_EXPONENTS = range(-18, -3, 2)
HALF, QUARTER = 2, 1
"""Of a decade, in exponents."""
MOST_RATES = 16
"""Of a family: beyond that its best rate may stay at an edge."""

Tuned = dict[int, float]
"""What a family's learning rates ended with on average over the tuning seeds, lower being better, by exponent."""


def rate(exponent: int) -> float:
    """Return a learning rate by its exponent, in quarters of a decade.

    >>> rate(-4)
    0.1
    """
    return float(f"{10 ** (exponent / 4):.6g}")


def to_try(tuned: Tuned, first: Iterable[int]) -> list[int]:
    """Return the exponents to try next, none once the best lies between others by quarters of a decade.

    >>> to_try({}, [-4, -2, 0])
    [-4, -2, 0]
    >>> to_try({-4: 0.5, -2: 0.4, 0: 0.3}, [-4, -2, 0])
    [2]
    >>> to_try({-4: 0.5, -2: 0.4, 0: 0.6}, [-4, -2, 0])
    [-3, -1]
    """
    missing = [exponent for exponent in first if exponent not in tuned]
    if missing:
        return missing
    best, lowest, highest = min(tuned, key=lambda exponent: tuned[exponent]), min(tuned), max(tuned)
    if len(tuned) < MOST_RATES and best in (lowest, highest):
        return [best - HALF if best == lowest else best + HALF]
    beside = (best - QUARTER, best + QUARTER)
    return [exponent for exponent in beside if exponent not in tuned and lowest < exponent < highest]


@dataclass(frozen=True)
class Family:
    """A family at its best learning rate, on fresh seeds."""

    name: str
    rate: float
    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Of the decision metric."""
        return statistics.fmean(self.values)

    @property
    def deviation(self) -> float:
        """Between seeds."""
        return statistics.stdev(self.values)


@dataclass(frozen=True)
class Resolution:
    """What was measured of a task, best family first."""

    families: tuple[Family, ...]

    @property
    def noise(self) -> float:
        """Standard deviation of the decision metric over seeds, at the best family."""
        return self.families[0].deviation

    @property
    def spread(self) -> float:
        """From the best family's mean to the worst's, in units of the noise; infinite where there is no noise."""
        return self._spread(self.families)

    @property
    def spread_of_decaying(self) -> float:
        """The same without the constant learning rate."""
        return self._spread([family for family in self.families if family.name != "constant"])

    @property
    def is_smoke_test(self) -> bool:
        """Whether the families differ by less than three standard deviations between seeds."""
        return self.spread < SMOKE

    def _spread(self, families: Iterable[Family]) -> float:
        means = [family.mean for family in families]
        distance = max(means) - min(means)
        return distance / self.noise if self.noise else math.inf


class Study:
    """The measurement of one task with one optimizer, over what is trained already."""

    def __init__(self, task: Task, optimizer: Mapping[str, Any], epochs: int, file: Path, *, packs: bool) -> None:
        self._task = task
        self._optimizer = dict(optimizer)
        self._steps = epochs * task.steps_per_epoch
        self._sign = 1.0 if task.direction == "minimize" else -1.0
        self._file = file
        self._packs = packs
        self._opening: Opening | None = None
        """How the task is trained, chosen once there is something to train."""
        self._known: dict[str, float] = {}
        if file.is_file():
            rows = [json.loads(line) for line in file.read_text().splitlines()]
            self._known = {row["key"]: float(row["value"]) for row in rows}

    def measured(self, seeds: int, tuning_seeds: int = 3) -> Resolution:
        """Tune and train what is not known yet, and return the resolution over `seeds` fresh seeds."""
        tuned = self._tune(range(tuning_seeds))
        best = {name: min(rates, key=lambda exponent: rates[exponent]) for name, rates in tuned.items()}
        fresh = range(tuning_seeds, tuning_seeds + seeds)
        self._train([self._wanted(name, exponent, seed) for name, exponent in best.items() for seed in fresh])
        families = [
            Family(name, rate(exponent), tuple(self._value(self._wanted(name, exponent, seed)) for seed in fresh))
            for name, exponent in best.items()
        ]
        return Resolution(tuple(sorted(families, key=lambda family: self._sign * family.mean)))

    def _tune(self, seeds: range) -> dict[str, Tuned]:
        first = EXPONENTS.get(str(self._optimizer["kind"]), OTHER_EXPONENTS)
        tuned: dict[str, Tuned] = {name: {} for name in FAMILIES}
        while tries := [(name, exponent) for name in FAMILIES for exponent in to_try(tuned[name], first)]:
            self._train([self._wanted(*tried, seed) for tried in tries for seed in seeds])
            for name, exponent in tries:
                ends = [self._value(self._wanted(name, exponent, seed)) for seed in seeds]
                tuned[name][exponent] = self._sign * statistics.fmean(ends)
        return tuned

    def _wanted(self, family: str, exponent: int, seed: int) -> Wanted:
        candidate = Candidate.model_validate(
            {"optimizer": self._optimizer, "initial_lr": rate(exponent), "schedule": FAMILIES[family]}
        )
        return Wanted(candidate, self._steps, seed)

    def _key(self, wanted: Wanted) -> str:
        of_task = [self._task.name, task_version(type(self._task)), self._task.params.model_dump(), self._task.device]
        of_trial = [wanted.candidate.model_dump(mode="json"), wanted.steps, wanted.seed]
        return json.dumps([*of_task, *of_trial], sort_keys=True)

    def _value(self, wanted: Wanted) -> float:
        value = self._known[self._key(wanted)]
        return value if math.isfinite(value) else self._sign * math.inf

    def _train(self, wanted: list[Wanted]) -> None:
        """Train what is not known yet; what ends in an error counts as the worst."""
        unknown = [each for each in wanted if self._key(each) not in self._known]
        if not unknown:
            return
        self._opening = self._opening or (packed(self._task) if self._packs else alone(self._task))
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("a") as kept:
            for ended, value in train(self._opening.make(), self._task, unknown):
                key = self._key(ended)
                self._known[key] = math.inf if value is None else value
                kept.write(json.dumps({"key": key, "value": str(self._known[key])}) + "\n")
                kept.flush()


def written(task: Task, resolution: Resolution) -> str:
    """Return the measurement as text."""
    seeds, version = len(resolution.families[0].values), task_version(type(task))
    lines = [f"{task.name}, version {version}, {task.metric}, n = {seeds} seeds a family, torch {torch.__version__}"]
    lines += [
        f"  {family.name:12} at {family.rate:<9.3g} mean {family.mean:.5f}  sd {family.deviation:.5f}"
        for family in resolution.families
    ]
    spreads = f"spread {resolution.spread:.1f} sd, {resolution.spread_of_decaying:.1f} without the constant"
    verdict = "a smoke test" if resolution.is_smoke_test else "tells schedules apart"
    return "\n".join([*lines, f"  noise {resolution.noise:.5f}; {spreads}: {verdict}"])


def main(arguments: list[str] | None = None) -> int:
    """Measure; 0 when it is done."""
    flags = _parser().parse_args(arguments)
    torch.set_num_threads(flags.threads)
    for name, kind in named(flags.tasks).items():
        file = flags.directory / f"{name}.jsonl"
        with closing(kind(json.loads(flags.params), flags.device)) as task:
            study = Study(task, json.loads(flags.optimizer), flags.epochs or task.epochs, file, packs=flags.packed)
            sys.stdout.write(written(task, study.measured(flags.seeds, flags.tuning_seeds)) + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    text = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m workers.resolution", description=__doc__, formatter_class=text)
    parser.add_argument("tasks", nargs="+", metavar="task")
    parser.add_argument("--optimizer", default='{"kind": "sgd", "momentum": 0.9}', help="as in a candidate, in JSON")
    parser.add_argument("--params", default="{}", help="of the task, in JSON")
    parser.add_argument("--epochs", type=int, help="of each training (default: the task's)")
    parser.add_argument("--seeds", type=int, default=10, help="fresh seeds a family (default: 10)")
    parser.add_argument("--tuning-seeds", type=int, default=3, help="seeds that tune the rates (default: 3)")
    parser.add_argument("--device", default="cpu", help="where to train, as torch names it (default: cpu)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of torch (default: 1)")
    parser.add_argument("--packed", action="store_true", help="many at once, where that is faster")
    parser.add_argument("--directory", type=Path, default=Path("var/resolution"), help="where what was trained is kept")
    return parser


if __name__ == "__main__":
    sys.exit(main())
