"""How well a rung foretells the end: `python -m benchmarks.pruning.correlations`.

Spearman's rank correlation with the final metric in the wide and in the narrow pool; then between 16 families, each at
the learning rate with which it ends best on the mean of both seeds: Kendall's tau, and the place that the best family
of the end has at the rung. Intervals hold 90 %, by a bootstrap over candidates.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau, spearmanr

from .pools import FAMILIES
from .record import BRANCHED
from .recorded import Recorded, recorded, tasks
from .replay import RISKS
from .rules import RULES, Rule, Values, final, known

SHARES = (0.1, 0.2, 0.3, 0.5, 0.7)
RATES = 8
"""Learning rates of a family."""
DRAWS = 100
MOST = 2000
"""Candidates that a bootstrap draws: 20,000 tell nothing more."""


@dataclass(frozen=True)
class Between:
    """How a rung orders the families."""

    tau: float
    place: int
    """That of the best family of the end, from 1."""
    is_rising: bool
    """Whether that family's learning rate still rises there."""


def correlation(pool: Recorded, rule: Rule, share: float) -> tuple[float, float, float]:
    """Return Spearman's correlation of a rung with the end, and its interval."""
    seen, ends = _ranked(rule.values(pool, share)), _ranked(final(pool))
    generator = np.random.default_rng(0)
    count = min(MOST, len(pool))
    drawn = [_spearman(seen, ends, generator.integers(len(pool), size=count)) for _ in range(DRAWS)]
    low, high = np.percentile(drawn, RISKS)
    return _spearman(seen, ends, np.arange(len(pool))), float(low), float(high)


def best_of_families(pool: Recorded) -> NDArray[np.intp]:
    """Return for each family the candidate that ends best on the mean of both seeds."""
    ends = (final(pool) + known(pool.fresh[:, -1])) / 2
    return np.array([first + int(np.argmin(ends[first : first + RATES])) for first in range(0, len(pool), RATES)])


def between_families(pool: Recorded, rule: Rule, share: float) -> Between:
    """Return how a rung orders the families, each at its own best learning rate."""
    best = best_of_families(pool)
    ends = ((final(pool) + known(pool.fresh[:, -1])) / 2)[best]
    seen = rule.values(pool, share)[best]
    winner = int(np.argmin(ends))
    place = 1 + int((seen < seen[winner]).sum())
    return Between(float(kendalltau(seen, ends).statistic), place, bool(pool.rises[best[winner]] > share))


def _spearman(seen: Values, ends: Values, places: NDArray[np.intp]) -> float:
    return float(spearmanr(seen[places], ends[places]).statistic)


def _ranked(values: Values) -> Values:
    """Put what diverged behind everything else."""
    finite = values[np.isfinite(values)]
    return np.where(np.isfinite(values), values, 2 * abs(finite).max() + 1)


def _rules(share: float) -> list[Rule]:
    return [rule for rule in RULES if share in BRANCHED or rule.name not in ("rescaled", "cooldown")]


def overall(pool_name: str) -> str:
    """Return a table of correlations of a pool: tasks by rules, the rungs in a cell."""
    rows = [f"| task | n | {' | '.join(rule.name for rule in RULES)} |", "|---" * (len(RULES) + 2) + "|"]
    for task in tasks():
        pool = recorded(task, pool_name)
        if pool is None:
            continue
        cells = []
        for rule in RULES:
            found = [correlation(pool, rule, share) if rule in _rules(share) else None for share in SHARES]
            widest = max((one[2] - one[1]) / 2 for one in found if one)
            cells.append(" ".join(f"{one[0]:.2f}" if one else "-" for one in found) + f" (±{widest:.2f})")
        rows.append(f"| {task} | {len(pool)} | {' | '.join(cells)} |")
    return "\n".join(rows)


def families() -> str:
    """Return the table between families: tau at each rung, then the best family's place."""
    names = list(FAMILIES)
    rows = [f"| task: best family | {' | '.join(rule.name for rule in RULES)} |", "|---" * (len(RULES) + 1) + "|"]
    for task in tasks():
        pool = recorded(task, "families")
        if pool is None:
            continue
        ends = (final(pool) + known(pool.fresh[:, -1]))[best_of_families(pool)]
        cells = []
        for rule in RULES:
            found = [between_families(pool, rule, share) if rule in _rules(share) else None for share in SHARES]
            taus = " ".join(f"{one.tau:.2f}" if one else "-" for one in found)
            places = " ".join(f"{one.place}{'*' if one.is_rising else ''}" if one else "-" for one in found)
            cells.append(f"{taus}; {places}")
        rows.append(f"| {task}: {names[int(np.argmin(ends))]} | {' | '.join(cells)} |")
    return "\n".join(rows)


def main(arguments: list[str] | None = None) -> int:
    """Print the tables."""
    argparse.ArgumentParser("python -m benchmarks.pruning.correlations", description=__doc__).parse_args(arguments)
    print(f"Between families at {SHARES} of the horizon: tau; place of the best (* still rising)\n\n{families()}")
    for pool in ("narrow", "wide"):
        print(f"\nSpearman, {pool} pool, at {SHARES} of the horizon\n\n{overall(pool)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
