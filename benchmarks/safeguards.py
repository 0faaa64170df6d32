"""What a safeguard against skewed noise would do to the verdict: false winners it spares, and power it costs.

    nice -n 19 python -m benchmarks.safeguards

prints the table of docs/verdict.md on safeguards: the chosen design on 9 seeds, alone, with Johnson's correction of t
for the skew that the gains show, and with a quantile twice as far out where two arms' variances differ by more than a
factor.
"""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Callable, Mapping

import numpy as np

from service.margins import cut, lower_quantile

from .verdict import SHAPES, ahead, level, percent, show
from .verdict_designs import Flags, Floats, best_of, gains_of

SEEDS, CANDIDATES = 9, 2
Guard = Callable[[Floats, Floats, Floats, Floats], Flags]
"""From t and gains by baseline, the finalist's variance and each baseline's: whether each baseline is beaten."""


def alone(t: Floats, _gains: Floats, _own: Floats, _others: Floats) -> Flags:
    """The design as it is."""
    return t > lower_quantile(CANDIDATES, SEEDS)


def johnson(t: Floats, gains: Floats, _own: Floats, _others: Floats) -> Flags:
    """Take off what the gains' skew to the worse side takes from t (N. Johnson, JASA 73, 1978)."""
    centred = gains - gains.mean(axis=-1, keepdims=True)
    skew = (centred**3).mean(axis=-1) / gains.std(axis=-1, ddof=1) ** 3
    return t + np.minimum(0.0, skew) * (1 + 2 * t**2) / (6 * math.sqrt(SEEDS)) > lower_quantile(CANDIDATES, SEEDS)


def unequal(factor: float) -> Guard:
    """Ask for twice the quantile where variances differ by more than a factor."""

    def guard(t: Floats, _gains: Floats, own: Floats, others: Floats) -> Flags:
        ratio = own / others
        far = (ratio > factor) | (ratio < 1 / factor)
        return t > lower_quantile(CANDIDATES, SEEDS) * np.where(far, 2.0, 1.0)

    return guard


GUARDS: Mapping[str, Guard] = {
    "alone": alone,
    "Johnson's t": johnson,
    "variances 3 x apart": unequal(3.0),
    "variances 6 x apart": unequal(6.0),
}


def wins(tables: Floats, guard: Guard) -> int:
    """Count the tables in which the finalist beats every baseline."""
    finalist = best_of(tables, CANDIDATES)
    gains = gains_of(tables, finalist, CANDIDATES)
    claimed = cut(gains)
    t = claimed.mean(axis=-1) / (claimed.std(axis=-1, ddof=1) / math.sqrt(SEEDS))
    variances = tables.var(axis=-1, ddof=1)
    own = np.take_along_axis(variances, finalist[:, None], axis=1)
    return int(guard(t, gains, own, variances[:, CANDIDATES:]).all(axis=1).sum())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=20_000, help="simulated tables a cell")
    parser.add_argument("--seed", type=int, default=18)
    options = parser.parse_args()
    rng, repeats = np.random.default_rng(options.seed), options.repeats
    show("setting", *GUARDS)
    show("---", *["---"] * len(GUARDS))
    scales = {"candidates 3 x": (3.0, 3.0, 1.0), "baseline 3 x": (1.0, 1.0, 3.0)}
    for (shape, draw), (scale, factors) in itertools.product(SHAPES.items(), scales.items()):
        tables = draw(rng, (repeats, len(factors), SEEDS)) * np.array(factors)[:, None]
        told = [percent(wins(tables, guard), repeats) for guard in GUARDS.values()]
        show(f"false winners %: {shape}, {scale}", *told)
    for baselines in (1, 3):
        tables = ahead(level(CANDIDATES, baselines)).tables(rng, repeats, SEEDS)
        told = [percent(wins(tables, guard), repeats) for guard in GUARDS.values()]
        show(f"power %: normal, equal noise, {baselines} baseline{'s' * (baselines > 1)}, gain 2", *told)


if __name__ == "__main__":
    main()
