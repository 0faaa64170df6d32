"""What each rule judges a candidate by at a rung, and what that costs: `pruner.fidelity`, and two competitors.

Forecasts of the end, which are competitors too, are in forecasts.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from search_spaces.schedules import curve

from .record import BRANCHED, COOLDOWN, RUNGS
from .recorded import Recorded

SHARE_OF_AN_AVERAGE = 0.035
"""Of a step: what following one running average costs on a small network, where it costs most."""
PHASES = 3
"""Groups of candidates, by what is left of their schedules, within each of which the rule `phase` compares."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Rule:
    """A way to judge candidates at a rung."""

    name: str
    values: Callable[[Recorded, float], Values]
    """From a pool and the rung's share of the horizon: (n,), smaller being better, infinite once diverged."""
    branch: float = 0.0
    """Share of the horizon that each candidate is trained beside its way at each rung."""
    surcharge: float = 0.0
    """Of each step up to the last rung."""
    anew: bool = False
    """Whether each rung is a training of its own from the start."""
    exempts: bool = True
    """Whether a candidate inside its own rise passes a rung."""
    ended: int = 0
    """A pool's first so many candidates are trained to their end before any is judged: a forecast is fitted on them."""


def place_of(share: float) -> int:
    """Return a rung's place among the 20 that are recorded."""
    return round(share * RUNGS) - 1


def final(pool: Recorded) -> Values:
    """Return where candidates end on the first seed: (n,)."""
    return known(pool.raw[:, -1])


def known(values: NDArray[np.float32]) -> Values:
    """Return values with infinity where a training has diverged."""
    return np.nan_to_num(values.astype(np.float64), nan=np.inf, posinf=np.inf)


def raw(pool: Recorded, share: float) -> Values:
    """Return the metric of the weights as they are."""
    return known(pool.raw[:, place_of(share)])


def average(number: int) -> Callable[[Recorded, float], Values]:
    """Return what judges by one running average: 0 for that over 3 % of the horizon, 1 for 10 %."""
    return lambda pool, share: known(pool.averages[:, number, place_of(share)])


def averaged(pool: Recorded, share: float) -> Values:
    """Return the lesser of the raw metric and that of the average over 3 %: what `fidelity: averaged` compares."""
    return np.minimum(raw(pool, share), average(0)(pool, share))


def least(pool: Recorded, share: float) -> Values:
    """Return the least of the raw metric and those of both averages."""
    return np.minimum(averaged(pool, share), average(1)(pool, share))


def rescaled(pool: Recorded, share: float) -> Values:
    """Return the ends of whole schedules at the shorter horizon."""
    return known(pool.rescaled[:, BRANCHED.index(share)])


def cooldown(pool: Recorded, share: float) -> Values:
    """Return the ends of branches on which the learning rate falls to zero."""
    return known(pool.cooldown[:, BRANCHED.index(share)])


def phase(pool: Recorded, share: float) -> Values:
    """Return each candidate's rank among those of whose schedules about as much is left, as a share of its group."""
    left = remaining(pool, share)
    own = raw(pool, share)
    ranks = np.empty(len(pool))
    for group in np.array_split(np.argsort(left, kind="stable"), PHASES):
        ranks[group] = rankdata(own[group]) / len(group)
    return np.where(np.isfinite(own), ranks, np.inf)


def remaining(pool: Recorded, share: float) -> Values:
    """Return the share of each schedule's area that lies behind a rung: (n,)."""
    curves = [curve(one.schedule, pool.steps) for one in pool.candidates]
    at = int(share * pool.steps + 0.5)
    return np.array([each[at:].sum() / each.sum() for each in curves])


RULES = (
    Rule("truncated", raw),
    Rule("averaged", averaged, surcharge=SHARE_OF_AN_AVERAGE),
    Rule("rescaled", rescaled, anew=True, exempts=False),
    Rule("cooldown", cooldown, branch=COOLDOWN),
    Rule("phase", phase),
    Rule("least of raw, 3 %, 10 %", least, surcharge=2 * SHARE_OF_AN_AVERAGE),
    Rule("3 % alone", average(0), surcharge=SHARE_OF_AN_AVERAGE),
    Rule("10 % alone", average(1), surcharge=SHARE_OF_AN_AVERAGE),
)
