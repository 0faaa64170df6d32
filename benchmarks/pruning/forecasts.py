"""Rules that judge a candidate by a forecast of its end, replayed: `python -m benchmarks.pruning.forecasts`, minutes.

A law of the literature (laws.py) is carried on from the rung: the value seen there, times what the law gives for the
end over what it gives for the rung. It is fitted on 20 candidates of the pool that are trained to their end first,
whose cost counts, or on nothing but the pool's own curves up to the first rung, which cost nothing. The regression has
no law: a ridge from what is left of the schedule and how far it has come down to the gain that is left, fitted on the
same 20.

Pools, costs and measures are those of replay.py, with the 20 drawn anew in each part of a pool. A regret is divided by
the lowest loss of the part. Between families the 20 come from the narrow pool: the median place over ten draws.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .correlations import best_of_families
from .halving import Judged
from .laws import Law, Mask, convex, curves_of, multi_power
from .record import RUNGS, share_of
from .recorded import Recorded, recorded, tasks
from .replay import COSTS, POOL, RISKS, TOP, Indices
from .rules import SHARE_OF_AN_AVERAGE, Rule, Values, averaged, final, known, place_of, raw

ENDED = 20
FIRST_RUNG = 0.1
PARTS = 16
"""Of a pool, in each of which the laws are fitted anew."""
DRAWS = 10
"""Of what a forecast is fitted on, between families."""
LOOKED_AT = (0.2, 0.5)
"""Shares of the horizon at which families are compared."""
LAST = 0.03
"""Of the horizon: over which the learning rate at the rung is taken, as the average of weights is."""
STRENGTHS = (0.1, 1.0, 10.0, 100.0, 1e6)
"""Of the ridge, from which the fit chooses by leaving one out; the last foretells the same gain for all."""


def of_ended(pool: Recorded) -> Mask:
    """Return the points of the curves that are whole, but the first: (n, 20)."""
    points = np.zeros((len(pool), RUNGS), dtype=bool)
    points[:ENDED, 1::2] = True
    return points


def of_beginnings(pool: Recorded) -> Mask:
    """Return the points up to the first rung, which every candidate reaches: (n, 20)."""
    points = np.zeros((len(pool), RUNGS), dtype=bool)
    points[:, : place_of(FIRST_RUNG) + 1] = True
    return points


@lru_cache(maxsize=8)
def _foretold(pool: Recorded, law: Law, points: Callable[[Recorded], Mask]) -> Values:
    return law(pool, points(pool))


def carried(
    law: Law, points: Callable[[Recorded], Mask], seen: Callable[[Recorded, float], Values], power: float = 1.0
) -> Callable[[Recorded, float], Values]:
    """Return what judges by the value seen at a rung and what a law leaves to be gained, that to a power."""

    def values(pool: Recorded, share: float) -> Values:
        foretold = _foretold(pool, law, points)
        carried_on: Values = seen(pool, share) * (foretold[:, -1] / foretold[:, place_of(share)]) ** power
        return carried_on

    return values


def regression(pool: Recorded, share: float) -> Values:
    """Return the averaged value times a gain, whose logarithm is a ridge fitted on the candidates that have ended."""
    seen, ends = averaged(pool, share), final(pool)
    read = np.isfinite(seen)
    learned = np.flatnonzero(read[:ENDED] & np.isfinite(ends[:ENDED]))
    told = _told(pool, share)
    gains = np.log(ends[learned] / seen[learned])
    values = np.full(len(pool), np.inf)
    values[read] = seen[read] * np.exp(ridge(told[learned], gains, told[read]))
    return values


def _told(pool: Recorded, share: float) -> Values:
    """Return what the regression reads: the area left, and the logarithms of the present factor and the noise."""
    factors = curves_of(pool)
    at, width = share_of(share, pool.steps), share_of(LAST, pool.steps)
    now = factors[:, at - width : at].mean(axis=1)
    seen, own = averaged(pool, share), raw(pool, share)
    noise = np.log(np.divide(own, seen, out=np.ones(len(pool)), where=np.isfinite(own)))
    left = factors[:, at:].sum(axis=1) / factors.sum(axis=1)
    return np.stack([left, np.log(np.maximum(now, 1e-3)), noise], axis=1)


def ridge(told: Values, gains: Values, asked: Values) -> Values:
    """Return what a ridge foretells, standardised, its strength chosen by leaving one out."""
    centre, spread = told.mean(axis=0), told.std(axis=0) + 1e-9
    left, singular, right = np.linalg.svd((told - centre) / spread, full_matrices=False)
    off = gains - gains.mean()
    best_error, best = np.inf, np.zeros(told.shape[1])
    for strength in STRENGTHS:
        shrunk = singular**2 / (singular**2 + strength)
        pull = 1 / len(gains) + left**2 @ shrunk
        error = float(np.mean(((off - left @ (shrunk * (left.T @ off))) / (1 - pull)) ** 2))
        if error < best_error:
            best_error, best = error, right.T @ (singular / (singular**2 + strength) * (left.T @ off))
    foretold: Values = gains.mean() + (asked - centre) / spread @ best
    return foretold


FORECASTS = (
    Rule("truncated", raw),
    Rule("averaged", averaged, surcharge=SHARE_OF_AN_AVERAGE),
    Rule("bound on raw", carried(convex, of_ended, raw), ended=ENDED),
    Rule("bound on averaged", carried(convex, of_ended, averaged), surcharge=SHARE_OF_AN_AVERAGE, ended=ENDED),
    Rule("power law on raw", carried(multi_power, of_ended, raw), ended=ENDED),
    Rule("power law on averaged", carried(multi_power, of_ended, averaged), surcharge=SHARE_OF_AN_AVERAGE, ended=ENDED),
    Rule("regression", regression, surcharge=SHARE_OF_AN_AVERAGE, ended=ENDED),
    Rule("bound of beginnings", carried(convex, of_beginnings, averaged), surcharge=SHARE_OF_AN_AVERAGE),
    Rule("its root", carried(convex, of_beginnings, averaged, power=0.5), surcharge=SHARE_OF_AN_AVERAGE),
)
"""The first two for comparison, on the same parts."""


def parts(count: int, most: int) -> list[Indices]:
    """Return parts of a pool: disjoint ones of a large pool, else resampled but for the first 20, which stay unique."""
    generator = np.random.default_rng(0)
    if count >= 10 * POOL:
        order = generator.permutation(count)
        return [order[start : start + POOL] for start in range(0, count - POOL + 1, POOL)][:most]
    orders = [generator.permutation(count) for _ in range(most)]
    return [np.concatenate([o[:ENDED], generator.choice(o[ENDED:], count - ENDED)]) for o in orders]


def replayed(pool: Recorded, most: int) -> NDArray[np.float64]:
    """Return false-prune rates and relative regrets: (parts, rules, costs, 2)."""
    found = []
    for places in parts(len(pool), most):
        part = pool.taken(places)
        found.append([_of_part(part, Judged.of(rule, part)) for rule in FORECASTS])
    return np.array(found)


def _of_part(part: Recorded, judged: Judged) -> list[tuple[float, float]]:
    ends, fresh = final(part), known(part.fresh[:, -1])
    top = np.argsort(ends, kind="stable")[: max(1, round(TOP * len(part)))]
    rows = []
    for cost in COSTS:
        alive = judged.at_cost(cost)
        chosen = np.argmin(np.where(alive, ends, np.inf))
        rows.append((float(1 - alive[top].mean()), float(fresh[chosen] / fresh.min() - 1)))
    return rows


def place(task: str, rule: Rule, share: float) -> str:
    """Return the place of the best family of the end, the median over what is fitted on; `-` without that."""
    families, narrow = recorded(task, "families"), recorded(task, "narrow")
    assert families is not None
    if rule.ended and narrow is None:
        return "-"
    best = best_of_families(families)
    winner = int(np.argmin(((final(families) + known(families.fresh[:, -1])) / 2)[best]))
    generator = np.random.default_rng(0)
    places = []
    for _ in range(DRAWS if rule.ended else 1):
        pool = families
        if narrow is not None and rule.ended:
            pool = narrow.taken(generator.choice(len(narrow), ENDED, replace=False)).before(families)
        seen = rule.values(pool, share)[rule.ended :][best]
        places.append(1 + int((seen < seen[winner]).sum()))
    return f"{np.median(places):g}"


def _heading() -> str:
    names = " | ".join(rule.name for rule in FORECASTS)
    return f"| task | {names} |\n{'|---' * (len(FORECASTS) + 1)}|"


def _show(title: str, rows: Iterable[str]) -> None:
    print(f"\n{title}\n\n{_heading()}", *rows, sep="\n", flush=True)


def _cell(values: Values, digits: int, *, disjoint: bool) -> str:
    """Show a mean with its interval of 90 %: by a bootstrap over disjoint parts, or the spread of resampled ones."""
    spread = values
    if disjoint:
        generator = np.random.default_rng(1)
        spread = values[generator.integers(len(values), size=(200, len(values)))].mean(axis=1)
    low, high = np.percentile(spread, RISKS)
    return f"{values.mean():.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def main(arguments: list[str] | None = None) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser("python -m benchmarks.pruning.forecasts", description=__doc__)
    parser.add_argument("--tasks", nargs="+", choices=tasks(), default=tasks())
    parser.add_argument("--parts", type=int, default=PARTS, help="of each pool")
    flags = parser.parse_args(arguments)
    found = {}
    for task in flags.tasks:
        narrow = recorded(task, "narrow")
        if narrow is not None:
            found[task] = (len(narrow) >= 10 * POOL, replayed(narrow, flags.parts))
            print(f"{task}: {len(found[task][1])} parts of {len(narrow)} candidates", flush=True)
    for number, cost in enumerate(COSTS):
        for what, title in enumerate(("False-prune rate", "Regret on the second seed, relative")):
            rows = [
                f"| {task} | "
                + " | ".join(
                    _cell(cells[:, rule, number, what], 2 + what, disjoint=disjoint) for rule in range(len(FORECASTS))
                )
                + " |"
                for task, (disjoint, cells) in found.items()
            ]
            _show(f"{title}, narrow pool, cost {cost}", rows)
    for share in LOOKED_AT:
        rows = [f"| {task} | {' | '.join(place(task, rule, share) for rule in FORECASTS)} |" for task in flags.tasks]
        _show(f"Place of the best of 16 families at {share} of the horizon", rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
