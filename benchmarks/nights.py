"""What a warm start is worth: weeks of nights whose data change a little, and one whose data change a lot.

nice -n 19 python -m benchmarks.nights simulated        a closed form; some minutes of CPU time with --weeks 10
nice -n 19 python -m benchmarks.nights digits           the task digits-mlp, its training set growing each night

Each night is searched from the nights before it, and every second one from nothing as well, with a budget of N trials.
Neither has baselines. The candidates that a warm start proposes again are trained first and are neither counted among
the N nor compared: it is the samplers that are. A search's choice is the best of its trials; the choices of a night are
trained again on fresh seeds, and regret is the mean there, less the least of that night.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from search_spaces.candidate import Candidate
from search_spaces.space import resolve_space
from search_spaces.study import ResolvedStudy, StudySpec
from service.opponents import opponents_of
from service.search import SAMPLED, Search, next_proposals
from service.warm_start import taken
from store.earlier_trials import EarlierStudy, EarlierTrial
from store.history import DIVERGED, HISTORY, Kept, Receiver
from store.proposals import NewProposal, Past

NIGHTS = 7
SHARE = 3
"""The warm search is looked at after a third of the budget."""
HORIZON = 50
Make = Callable[..., "Value"]
"""What is searched in a week's night; `swapped`: the data have changed."""
FRESH_SEEDS = range(1, 4)
Value = Callable[[Candidate, int], float]
"""What a training of a candidate on a seed gives, smaller is better; nan: it diverged. Searches train on seed 0."""


@dataclass(frozen=True)
class Found:
    """One search: what later nights learn from, and the trials of its sampler in order."""

    study: EarlierStudy
    drawn: list[Past]

    def choice(self, trials: int) -> Candidate:
        """Return the best candidate of the first so many."""
        done = [trial for trial in self.drawn[:trials] if trial.value is not None]
        best = min(done, key=lambda trial: trial.value or 0.0).candidate
        assert best is not None
        return best


def search(name: str, value: Value, budget: int, seed: int, earlier: Sequence[EarlierStudy]) -> Found:
    """Search one night, one trial after the other."""
    begun, past = _begun(name, budget, seed, earlier)
    own: list[Past] = []
    for _ in range(begun.budget):
        own.append(_trained(next_proposals(begun, [*past, *own], 1)[0], value))
    done = [EarlierTrial(trial.candidate, trial.value) for trial in own if trial.candidate and trial.value is not None]
    trials = sorted(done, key=lambda trial: trial.value)
    study = EarlierStudy(name, begun.spec, begun.resolved, begun.space, None, trials)
    return Found(study, [trial for trial in own if trial.origin == SAMPLED])


def _begun(name: str, budget: int, seed: int, earlier: Sequence[EarlierStudy]) -> tuple[Search, list[Past]]:
    """Return a search with room for `budget` trials of its sampler, and the trials that it starts from."""
    said = {
        "name": name,
        "task": {"name": "night"},
        "confirmation": {"baselines": []},
        "pruner": {"kind": "none"},
        "warm_start": {"studies": [study.name for study in earlier]},
        "seed": seed,
    }
    spec = StudySpec.model_validate(said | {"budget": {"trials": budget}})
    space = resolve_space(spec.space, budget)
    resolved = ResolvedStudy(metric="loss", direction="minimize", horizon_steps=HORIZON, task_version="1", rungs=[])
    kept = taken(Receiver(0, spec, resolved, space), dict(enumerate(earlier, start=1)))
    wishes = tuple(one.trial.candidate for one in kept if one.becomes == "proposal")
    spec = StudySpec.model_validate(said | {"budget": {"trials": budget + len(wishes)}})
    opponents = opponents_of(spec, space, sparse=False)
    return Search(spec, resolved, space, opponents, wishes), _learned(kept)


def _learned(kept: Sequence[Kept]) -> list[Past]:
    return [
        Past(
            seq=None, number=place, purpose="search", origin=HISTORY, state="complete", params=one.params or {},
            candidate=one.trial.candidate, value=one.trial.value, seed=0, age=one.age,
        )
        for place, one in enumerate(one for one in kept if one.becomes == "history")
    ]  # fmt: skip


def _trained(new: NewProposal, value: Value) -> Past:
    found = value(new.candidate, 0)
    diverged = not math.isfinite(found)
    return Past(
        seq=new.seq, number=new.seq, purpose="search", origin=new.origin, state="failed" if diverged else "complete",
        params=new.params or {}, candidate=new.candidate, value=None if diverged else found, seed=new.seed,
        error=DIVERGED if diverged else None,
    )  # fmt: skip


# What is searched


def simulated(week: int, night: int, *, swapped: bool) -> Value:
    """A bowl whose bottom moves a little each night; with other data it is far away, and tastes are reversed."""
    dice = random.Random(f"week {week}")
    best_lr = dice.uniform(-3.0, -1.5) + 0.05 * night + (1.2 if swapped else 0.0)
    liked = {kind: dice.uniform(0.0, 0.5) for kind in ("adamw", "adam", "sgd")}
    kinds = ("linear", "cosine", "constant", "step", "exponential", "wsd", "one_cycle", "rex")
    shapes = {kind: dice.uniform(0.0, 0.3) for kind in kinds}
    if swapped:
        liked = {kind: 0.5 - taste for kind, taste in liked.items()}

    def value(candidate: Candidate, seed: int) -> float:
        kind, schedule = candidate.optimizer.kind, candidate.schedule
        distance = math.log10(candidate.initial_lr) - best_lr - (1.0 if kind == "sgd" else 0.0)
        warmup = 0.0 if schedule.warmup is None else schedule.warmup.fraction
        noise = random.Random(f"{week} {night} {seed} {candidate.initial_lr}").gauss(0, 0.02)
        bowl = 0.4 * distance**2 + liked[kind] + shapes[schedule.kind] + 2 * (warmup - 0.1) ** 2
        return 1.0 - 0.05 * night + bowl + noise

    return value


# The comparison


@dataclass(frozen=True)
class Week:
    """Regrets of one week: means over its usual nights, and those of the night whose data changed."""

    warm_third: float
    cold_whole: float
    changed_warm: float
    changed_cold: float


def week_of(week: int, budget: int, make: Make, warm_nights: int) -> Week:
    """Live through a week; the last night's data have changed."""
    earlier: list[EarlierStudy] = []
    thirds, wholes, changed = [], [], (math.nan, math.nan)
    for night in range(NIGHTS):
        swapped = night == NIGHTS - 1
        value, seed = make(week, night, swapped=swapped), 1000 * week + night
        warm = search(f"warm{night}", value, budget, seed, earlier[:warm_nights])
        if night and night % 2 == 0:
            cold = search(f"cold{night}", value, budget, seed, [])
            choices = warm.choice(budget // SHARE), warm.choice(budget), cold.choice(budget)
            third, whole, of_cold = (_regret(again, choices, value) for again in choices)
            if swapped:
                changed = (whole, of_cold)
            else:
                thirds.append(third)
                wholes.append(of_cold)
        earlier.insert(0, warm.study)
    return Week(statistics.mean(thirds), statistics.mean(wholes), *changed)


def _regret(choice: Candidate, choices: Sequence[Candidate], value: Value) -> float:
    return _again(choice, value) - min(_again(one, value) for one in choices)


def _again(candidate: Candidate, value: Value) -> float:
    return statistics.mean(value(candidate, seed) for seed in FRESH_SEEDS)


def report(weeks: Sequence[Week], budget: int, seconds: float) -> str:
    """Write the table: median over weeks, and in how many of them the claim held."""
    n = len(weeks)
    third = statistics.median(week.warm_third for week in weeks)
    whole = statistics.median(week.cold_whole for week in weeks)
    warm = statistics.median(week.changed_warm for week in weeks)
    cold = statistics.median(week.changed_cold for week in weeks)
    held = sum(week.warm_third <= week.cold_whole for week in weeks)
    same = sum(week.changed_warm <= week.changed_cold for week in weeks)
    return "\n".join(
        [
            f"| regret, median of {n} weeks | warm | cold | warm at most cold in |",
            "|---|---|---|---|",
            f"| usual nights: warm after {budget // SHARE} trials, cold after {budget} "
            f"| {third:.4f} | {whole:.4f} | {held} of {n} |",
            f"| two classes swapped: both after {budget} | {warm:.4f} | {cold:.4f} | {same} of {n} |",
            f"{seconds:.0f} s of CPU time",
        ]
    )


def main() -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["simulated", "digits"])
    parser.add_argument("--weeks", type=int, default=10)
    parser.add_argument("--first-week", type=int, default=0)
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--warm-nights", type=int, default=3)
    given = parser.parse_args()
    make = simulated
    if given.what == "digits":
        from benchmarks.nights_digits import digits

        make = digits
    weeks = []
    for week in range(given.first_week, given.first_week + given.weeks):
        weeks.append(week_of(week, given.trials, make, given.warm_nights))
        print(json.dumps(vars(weeks[-1])), file=sys.stderr)
    print(report(weeks, given.trials, time.process_time()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
