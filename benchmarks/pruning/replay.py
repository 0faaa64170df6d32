"""Rules of pruning replayed on recorded curves: `python -m benchmarks.pruning.replay`, seconds.

Successive halving at four rungs, at equal compute for every rule: its averages, branches and trainings from the start
counted. *False-prune rate*: the share of a pool's final best 5 % that are pruned. *Regret*: how much worse the
candidate chosen on the first seed is than the best of the pool, both judged on the second seed. The noisy quadratic's
20,000 candidates are taken as 50 pools of 400, whose spread gives the interval; the others' comes from a bootstrap over
candidates. Intervals hold 90 %.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from .halving import RUNGS, Judged
from .quadratic import REGIMES
from .recorded import Recorded, recorded, tasks
from .rules import RULES, Rule, final, known

COSTS = (0.25, 0.4, 0.5)
TOP = 0.05
POOL = 400
"""Candidates of a pool of the noisy quadratic."""
DRAWS = 200
"""Of the bootstrap."""
RISKS = (5, 95)
"""Percentiles: the ends of intervals."""

Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Estimate:
    """A mean with its interval of 90 %."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.2f} [{self.low:.2f}, {self.high:.2f}]"


@dataclass(frozen=True)
class Outcome:
    """What a rule does to a pool at one cost."""

    false_prunes: Estimate
    regret: Estimate


def samples(pool: Recorded) -> list[Indices]:
    """Return parts of a pool whose spread shows how sure a number is: disjoint ones of a large pool, else resampled."""
    generator = np.random.default_rng(0)
    if len(pool) >= 10 * POOL:
        order = generator.permutation(len(pool))
        return [order[start : start + POOL] for start in range(0, len(pool) - POOL + 1, POOL)]
    return [generator.integers(len(pool), size=len(pool)) for _ in range(DRAWS)]


def replayed(pool: Recorded, rule: Rule | None, cost: float, rungs: Sequence[float] = RUNGS) -> Outcome:
    """Return what a rule does at a cost; None prunes nothing."""
    ends, fresh = final(pool), known(pool.fresh[:, -1])
    judged = None if rule is None else Judged.of(rule, pool, rungs)
    parts = samples(pool)
    is_disjoint = len(pool) >= 10 * POOL
    found = np.array([_of_part(judged, cost, part, ends, fresh) for part in parts])
    if is_disjoint:
        generator = np.random.default_rng(1)
        means = np.array([found[generator.integers(len(found), size=len(found))].mean(axis=0) for _ in range(DRAWS)])
        return Outcome(*(_estimate(float(found[:, i].mean()), means[:, i]) for i in (0, 1)))
    whole = _of_part(judged, cost, np.arange(len(pool)), ends, fresh)
    return Outcome(*(_estimate(whole[i], found[:, i]) for i in (0, 1)))


def _of_part(
    judged: Judged | None, cost: float, part: Indices, ends: NDArray[np.float64], fresh: NDArray[np.float64]
) -> tuple[float, float]:
    own = ends[part]
    alive = np.ones(len(part), dtype=bool) if judged is None else judged.taken(part).at_cost(cost)
    top = np.argsort(own, kind="stable")[: max(1, round(TOP * len(part)))]
    chosen = part[alive][np.argmin(own[alive])] if alive.any() else part[np.argmax(own)]
    return float(1 - alive[top].mean()), float(fresh[chosen] - fresh[part].min())


def _estimate(mean: float, spread: NDArray[np.float64]) -> Estimate:
    low, high = np.percentile(spread, RISKS)
    return Estimate(mean, float(low), float(high))


@cache
def outcome(task: str, pool_name: str, rule: Rule | None, cost: float, rungs: tuple[float, ...] = RUNGS) -> Outcome:
    """Return what a rule does to a recorded pool at a cost."""
    pool = recorded(task, pool_name)
    assert pool is not None
    return replayed(pool, rule, cost, rungs)


def table(pool_name: str, cost: float, what: str, rungs: tuple[float, ...] = RUNGS) -> str:
    """Return a table of rules by tasks, `what` being `false_prunes` or `regret`."""
    pools = {task: pool for task in tasks() if (pool := recorded(task, pool_name)) is not None}
    rules: list[Rule | None] = [*RULES] if what == "false_prunes" else [None, *RULES]
    rows = [f"| task | n | {' | '.join(rule.name if rule else 'no pruning (cost 1)' for rule in rules)} |"]
    rows.append("|---" * (len(rules) + 2) + "|")
    for task, pool in pools.items():
        found = [getattr(outcome(task, pool_name, rule, cost, rungs), what) for rule in rules]
        rows.append(f"| {task} | {len(pool)} | {' | '.join(_shown(one, what, task) for one in found)} |")
    return "\n".join(rows)


def _shown(estimate: Estimate, what: str, task: str) -> str:
    if what == "false_prunes":
        return str(estimate)
    digits = 4 if task in REGIMES else 3
    return f"{estimate.mean:.{digits}f} [{estimate.low:.{digits}f}, {estimate.high:.{digits}f}]"


def main(arguments: list[str] | None = None) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser("python -m benchmarks.pruning.replay", description=__doc__)
    parser.add_argument("--costs", type=float, nargs="+", default=list(COSTS), help="as shares of full training")
    parser.add_argument("--rungs", type=float, nargs="+", default=list(RUNGS), help="of 0.1, 0.2, 0.3 and 0.5")
    flags = parser.parse_args(arguments)
    for pool in ("narrow", "wide"):
        for cost in flags.costs:
            for what, title in (("false_prunes", "False-prune rate"), ("regret", "Regret on the second seed")):
                print(
                    f"\n{title}, {pool} pool, cost {cost}\n\n{table(pool, cost, what, tuple(flags.rungs))}", flush=True
                )
    return 0


if __name__ == "__main__":
    sys.exit(main())
