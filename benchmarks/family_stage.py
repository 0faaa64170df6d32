"""A family stage before the search, live on the noisy quadratic: does it pay for what it costs?

    python -m benchmarks.family_stage --tasks "quadratic B=4" --seeds 20 --budget 25

Every shape of the space, each parameter in the middle of its range, is trained at three LRs as a whole schedule over a
tenth of the horizon. The worst third of the shapes is dropped, and the best three, each at its best LR, are the first
proposals of the search inside. What the stage trains is taken from the budget, which is in whole trainings. Beside it:
the search alone, also with the shapes as its first proposals without any stage; the stage without its first proposals;
its first proposals in the whole space; and the LR's range narrowed around the best shape's LR. Regret is over the
computed optimum, in shares of it: the median, the 10th and the 90th percentile of the searches.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from search_spaces.candidate import Candidate
from search_spaces.ranges import AnyRange, Choice, FloatRange, IntRange, Scalar
from search_spaces.space import Space
from search_spaces.steps import whole_steps

from .pruning.grounds import Bowl
from .pruning.quadratic import REGIMES, rates_of
from .pruning.searchers import Etude, Shown

SHARE = 0.1
"""Of the horizon: the length of the stage's trainings."""
RATES = 3
KEPT = 2 / 3
"""Of the shapes."""
FIRST = 3
"""Shapes that are proposed first."""
NARROWED = 5.0
"""The LR's range around the best one, up and down."""
MOST_TRIALS = 120
LOOKS = (8, 10, 15, 20, 25, 30, 40)
"""Whole trainings spent at which the regret is read."""
RISKS = (10, 50, 90)


@dataclass(frozen=True)
class Variant:
    """A search inside a space, after so much was spent, with these candidates first."""

    space: Space
    spent: float = 0.0
    first: tuple[Candidate, ...] = ()


class Staged(Etude):
    """Étude's search by TPE with averaged rungs, and first proposals of its own."""

    def __init__(self, variant: Variant, steps: int, seed: int) -> None:
        super().__init__(variant.space, steps, seed, MOST_TRIALS, {"fidelity": "averaged"}, "tpe")
        self._search = replace(self._search, wishes=variant.first)
        self.spent = variant.spent
        self.points: list[tuple[float, float]] = []
        """Compute spent, and the regret of the best trial from there on."""
        self._best = math.inf

    def go_on(self, ground: Bowl, shown: Shown) -> None:
        """Take a training as far as the search lets it go."""
        share, is_complete = self.take(shown)
        self.spent += share
        if is_complete and shown.final < self._best:
            self._best = shown.final
            self.points.append((self.spent, ground.regret(shown)))

    def at(self, spent: float) -> float:
        """Return the regret after so many whole trainings; infinite before the first end."""
        return min((regret for place, regret in self.points if place <= spent), default=math.inf)


def variants(task: str, ground: Bowl) -> Mapping[str, Variant]:
    """Train the stage, and return the searches to compare."""
    shapes = {kind: shapes_of(ground.space, kind) for kind in ground.space.schedules}
    losses = {kind: short_losses(task, candidates) for kind, candidates in shapes.items()}
    ranked = sorted(shapes, key=lambda kind: float(losses[kind].min()))
    first = tuple(shapes[kind][int(losses[kind].argmin())] for kind in ranked[:FIRST])
    kept = ranked[: math.ceil(KEPT * len(ranked))]
    inside = ground.space.model_copy(update={"schedules": {kind: ground.space.schedules[kind] for kind in kept}})
    spent = SHARE * RATES * len(shapes)
    plain = tuple(candidates[RATES // 2] for candidates in shapes.values())
    print(f"{task}: the stage costs {spent:.1f} trainings; {', '.join(ranked)}", flush=True)
    return {
        "no stage": Variant(ground.space),
        "no stage, each shape first": Variant(ground.space, 0.0, plain),
        "no stage, each at each LR first": Variant(ground.space, 0.0, tuple(chain.from_iterable(shapes.values()))),
        "worst third dropped": Variant(inside, spent),
        "dropped, best proposed first": Variant(inside, spent, first),
        "best proposed first": Variant(ground.space, spent, first),
        "dropped, first, LR narrowed": Variant(narrowed(inside, first[0].initial_lr), spent, first),
    }


def shapes_of(space: Space, kind: str) -> list[Candidate]:
    """Return a shape at each LR: evenly over the logarithm of its range, the other parameters in their middle."""
    found = []
    for place in range(RATES):
        share = (place + 0.5) / RATES

        def suggest(name: str, allowed: AnyRange, share: float = share) -> Scalar:
            return kind if name == "schedule" else within(allowed, share if name.endswith(".lr") else 0.5)

        found.append(space.suggest(suggest)[0])
    return found


def within(allowed: AnyRange, share: float) -> Scalar:
    """Return the value at a share of a range, on its scale; of choices the first."""
    if isinstance(allowed, Choice):
        return allowed.choices[0]
    if isinstance(allowed, IntRange):
        return round(allowed.low + share * (allowed.high - allowed.low))
    low, high = float(allowed.low), float(allowed.high)
    if allowed.one_minus:
        return 1 - float((1 - low) ** (1 - share) * (1 - high) ** share)
    return float(low ** (1 - share) * high**share) if allowed.log else low + share * (high - low)


def short_losses(task: str, candidates: Sequence[Candidate]) -> NDArray[np.float64]:
    """Return the expected loss of each as a whole schedule over the stage's length: (n,)."""
    regime = REGIMES[task]
    rates = rates_of(candidates, whole_steps(SHARE, regime.steps))
    return np.array([regime.problem.losses(row)[-1] for row in rates])


def narrowed(space: Space, rate: float) -> Space:
    """Return a space whose LR lies around `rate`."""
    kind, ranges = next(iter(space.optimizers.items()))
    own = ranges["lr"]
    assert isinstance(own, FloatRange)
    ends = {"low": max(float(own.low), rate / NARROWED), "high": min(float(own.high), rate * NARROWED)}
    return space.model_copy(update={"optimizers": {kind: {**ranges, "lr": own.model_copy(update=ends)}}})


def searched(ground: Bowl, variant: Variant, seeds: int, budget: float) -> list[Staged]:
    """Run a variant on each seed, all of them side by side."""
    searches = [Staged(variant, ground.steps, seed) for seed in range(seeds)]
    while active := [one for one in searches if one.spent < budget]:
        candidates = [one.propose() for one in active]
        for one, shown in zip(active, ground.shown(candidates, [set() for _ in active]), strict=True):
            one.go_on(ground, shown)
    return searches


def row_of(name: str, searches: Sequence[Staged], looks: Sequence[int]) -> str:
    """Write the median regret at each look, with the 10th and the 90th percentile."""
    cells = []
    for spent in looks:
        low, middle, high = np.percentile([one.at(spent) for one in searches], RISKS, method="nearest")
        cells.append(f"{middle:.4f} [{low:.4f}, {high:.4f}]")
    return f"| {name} | {' | '.join(cells)} |"


def main(arguments: list[str] | None = None) -> int:
    """Run every variant on every task and print the tables."""
    text = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m benchmarks.family_stage", description=__doc__, formatter_class=text)
    parser.add_argument("--tasks", nargs="+", choices=list(REGIMES), default=[f"quadratic B={b}" for b in (1, 4, 32)])
    parser.add_argument("--seeds", type=int, default=20, help="searches of each kind (default: 20)")
    parser.add_argument("--only", nargs="+", help="variants by name (default: all)")
    parser.add_argument("--budget", type=int, default=25, help="whole trainings of each search (default: 25)")
    flags = parser.parse_args(arguments)
    looks = [look for look in LOOKS if look <= flags.budget]
    for task in flags.tasks:
        ground = Bowl(task)
        chosen = variants(task, ground)
        print(f"| {task}, n = {flags.seeds} | " + " | ".join(f"at {look}" for look in looks) + " |")
        print("|---" * (1 + len(looks)) + "|")
        for name, variant in chosen.items():
            if flags.only and name not in flags.only:
                continue
            print(row_of(name, searched(ground, variant, flags.seeds, flags.budget), looks), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
