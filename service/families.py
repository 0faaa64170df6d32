"""How often each family was tried and how far it came, the metric against the LR, and what was pruned where."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from search_spaces.insight import FamilyTally, LrBin, LrSensitivity, RungPruned
from search_spaces.results import Arm
from search_spaces.study import Direction
from store.insights import EndedTrial

from .importance import PARTS, Trials, family_of
from .noise import SeedNoise
from .paired import quantile

BINS_A_DECADE = 2
CONFIDENCE = 0.95
GOOD_SHARE = 0.25
"""A spared trial that ends among so many of the best would have been missed."""


def families_of(
    trials: Trials, arms: Sequence[Arm], noise: SeedNoise | None, direction: Direction
) -> list[FamilyTally]:  # fmt: skip
    """Count each family's trials and name its best, with an interval where the noise between seeds is known."""
    tallies = []
    for part in PARTS:
        names = Counter(family_of(trial, part) for trial in trials)
        for family, tried in sorted(names.items(), key=lambda one: (-one[1], one[0])):
            own = [trial for trial in trials if family_of(trial, part) == family]
            states = Counter(trial.state for trial in own)
            counted = {
                "part": part, "family": family, "tried": tried, "complete": states["complete"],
                "pruned": states["pruned"], "failed": states["failed"] + states["stopped"],
            }  # fmt: skip
            confirmed = [arm for arm in arms if getattr(arm.candidate, part).kind == family]
            tallies.append(FamilyTally.model_validate(counted | _best(own, confirmed, noise, direction)))
    return tallies


def _best(own: Trials, confirmed: Sequence[Arm], noise: SeedNoise | None, direction: Direction) -> dict[str, object]:
    """Return `best`, `interval` and `n`: of the confirmation where it trained the family, else of the search."""
    means = {arm.name: arm.mean for arm in confirmed if arm.mean is not None and math.isfinite(arm.mean)}
    if means:
        name = (min if direction == "minimize" else max)(means, key=lambda name: means[name])
        arm = next(arm for arm in confirmed if arm.name == name)
        return {"best": arm.mean, "interval": arm.interval, "n": arm.n}
    best = _best_value(own, direction)
    return {"best": best, "interval": None if best is None else _one_training(best, noise)}


def _one_training(value: float, noise: SeedNoise | None) -> tuple[float, float] | None:
    if noise is None:
        return None
    half = quantile(noise.degrees, (1 - CONFIDENCE) / 2) * noise.deviation
    return value - half, value + half


def _best_value(trials: Trials, direction: Direction) -> float | None:
    values = values_of(trials)
    if not values:
        return None
    return min(values) if direction == "minimize" else max(values)


def values_of(trials: Trials) -> list[float]:
    """Return the finite values of complete trials."""
    return [t.value for t in trials if t.state == "complete" and t.value is not None and math.isfinite(t.value)]


# The metric against the initial LR


def lr_sensitivity(trials: Trials, direction: Direction) -> list[LrSensitivity]:
    """Sort each optimizer's trials into bins of half a decade of the initial LR; empty bins are left out."""
    found = []
    for optimizer in sorted({family_of(trial, "optimizer") for trial in trials}):
        own = [trial for trial in trials if f"{optimizer}.lr" in trial.params]
        by_bin: dict[int, list[EndedTrial]] = {}
        for trial in own:
            place = math.floor(BINS_A_DECADE * math.log10(float(trial.params[f"{optimizer}.lr"])) + 1e-9)
            by_bin.setdefault(place, []).append(trial)
        bins = [_lr_bin(place, held, direction) for place, held in sorted(by_bin.items())]
        found.append(LrSensitivity(optimizer=optimizer, bins=bins))
    return [one for one in found if one.bins]


def _lr_bin(place: int, trials: Trials, direction: Direction) -> LrBin:
    values = values_of(trials)
    return LrBin(
        low=_edge(place),
        high=_edge(place + 1),
        complete=len(values),
        pruned=sum(trial.state == "pruned" for trial in trials),
        best=_best_value(trials, direction),
        median=float(np.median(values)) if values else None,
    )


def _edge(place: int) -> float:
    return float(f"{10 ** (place / BINS_A_DECADE):.6g}")


# What was pruned


def pruned_at(trials: Trials, rungs: Sequence[int]) -> list[RungPruned]:
    """Count, for each rung, the trials that were compared there and those that ended there."""
    stopped: Mapping[int, int] = Counter(trial.settled_rung for trial in trials if trial.state == "pruned")
    return [
        RungPruned(rung=rung, reached=sum(trial.settled_rung >= rung for trial in trials), pruned=stopped.get(rung, 0))
        for rung in rungs
    ]


def spared(trials: Trials, direction: Direction) -> tuple[int, int]:
    """Return how many trials ran on although they would have been pruned, and how many of them ended well."""
    ran_on = values_of([trial for trial in trials if trial.spared_at is not None])
    if not ran_on:
        return 0, 0
    sign = 1.0 if direction == "minimize" else -1.0
    line = float(np.quantile([sign * value for value in values_of(trials)], GOOD_SHARE))
    return len(ran_on), sum(sign * value <= line for value in ran_on)
