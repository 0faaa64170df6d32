"""The pools of candidates whose learning curves are recorded: wide, narrow, and families at eight learning rates.

`wide` is drawn evenly from the space that a study of 64 trials searches by default. `narrow` is drawn from the same
space with each optimizer's learning rates within four times the best of the wide pool: where a search spends its time.
`families` are 16 fixed shapes at 8 learning rates each, with one optimizer. `openings` are the baselines at the
learning rates at which a study tries them first. A pool depends on its task, its name and nothing else (the narrow one
on what is recorded of the wide one), so a recording goes on where it was stopped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from search_spaces.baselines import BASELINES, EDGE_FACTORS, LR_FACTORS, default_baselines
from search_spaces.candidate import Candidate
from search_spaces.ranges import AnyRange, Choice, FloatRange, IntRange, Scalar
from search_spaces.space import Space, resolve_space
from search_spaces.study import SpaceSpec

BUDGET = 64
"""Trials of a study by default, which decide what its space holds."""
NARROW = 4.0
"""The narrow pool's learning rates are within this factor of the best."""
BEST_SHARE = 0.05
"""Of the wide pool's candidates of one optimizer, whose median learning rate is its best."""

FAMILIES: dict[str, dict[str, Any]] = {
    "constant": {"kind": "constant"},
    "linear": {"kind": "linear"},
    "cosine": {"kind": "cosine"},
    "cosine to 10 %": {"kind": "cosine", "end_factor": 0.1},
    "step": {"kind": "step", "step_size": 0.34, "gamma": 0.1},
    "multistep": {"kind": "multistep", "milestones": [0.5, 0.75], "gamma": 0.1},
    "exponential": {"kind": "exponential", "final_factor": 0.01},
    "polynomial 2": {"kind": "polynomial", "power": 2.0},
    "inverse_sqrt": {"kind": "inverse_sqrt", "timescale": 0.05},
    "wsd 10 %": {"kind": "wsd", "decay_fraction": 0.1},
    "wsd 20 %": {"kind": "wsd", "decay_fraction": 0.2},
    "wsd 50 %": {"kind": "wsd", "decay_fraction": 0.5},
    "one_cycle": {"kind": "one_cycle"},
    "rex": {"kind": "rex"},
    "cyclic": {"kind": "cyclic", "floor": 0.1, "cycle_length": 0.25},
    "two_point": {
        "kind": "two_point", "peak_at": 0.1, "y1": 0.5, "delta1": 0.4, "delta2": 0.5, "delta_y": 0.4,
    },
}  # fmt: skip
"""The shapes that are compared each at its own best learning rate."""


@dataclass(frozen=True)
class Ground:
    """A task as it is recorded."""

    task: str
    steps: int
    """The horizon."""
    optimizer: Mapping[str, Any]
    """Of the families."""
    exponents: range
    """Of the families' learning rates, 10 ** (k / 4)."""
    wide: int = 400
    narrow: int = 300
    way: str = "traced"
    """To compute gradients in packs (`workers.packing.ways`)."""
    at_once: int = 32
    """Trials of a pack."""


_SGD = {"kind": "sgd", "momentum": 0.9}
GROUNDS: dict[str, Ground] = {
    "digits-mlp": Ground("digits-mlp", 510, _SGD, range(-7, 1)),
    "digits-noisy": Ground("digits-noisy", 510, _SGD, range(-7, 1)),
    "digits-cnn": Ground("digits-cnn", 510, _SGD, range(-7, 1)),
    "finetune-digits": Ground("finetune-digits", 200, _SGD, range(-9, -1), wide=100, narrow=100),
    "charlm": Ground("charlm", 100, {"kind": "adamw"}, range(-13, -5), wide=100, narrow=100),
}
"""Where trainings are recorded; the noisy quadratic is computed (`quadratic.py`)."""


def space(lrs: Mapping[str, tuple[float, float]] | None = None) -> Space:
    """Return the space that a study searches by default, with other ranges of some optimizers' learning rates."""
    if lrs is None:
        return resolve_space(SpaceSpec(), BUDGET)
    given: dict[str, Any] = {
        kind: {"lr": FloatRange(low=lrs[kind][0], high=lrs[kind][1])} if kind in lrs else {}
        for kind in space().optimizers
    }
    return resolve_space(SpaceSpec(optimizers=given), BUDGET)


def quadratic_space(budget: int = BUDGET) -> Space:
    """Return the schedules of a study of so many trials on SGD without momentum: there the noisy quadratic is exact.

    Without `plateau`, whose curve depends on what a training shows.
    """
    none = {name: Choice(choices=[0.0]) for name in ("momentum", "weight_decay")}
    ranges: dict[str, AnyRange] = {"lr": FloatRange(low=0.02, high=2.0), "nesterov": Choice(choices=[False]), **none}
    found = resolve_space(SpaceSpec(optimizers={"sgd": ranges}), budget)
    known = {kind: own for kind, own in found.schedules.items() if kind != "plateau"}
    return found.model_copy(update={"schedules": known})


def quadratic_families() -> list[Candidate]:
    """Return every shape at eight learning rates down from the largest, 2."""
    plain = {"kind": "sgd", "momentum": 0.0}
    return family_pool(plain, [float(f"{2 * 10 ** (-k / 5):.6g}") for k in range(8)])


def drawn(from_space: Space, count: int, seed: Sequence[int]) -> list[Candidate]:
    """Draw candidates evenly from a space."""
    generator = np.random.default_rng(list(seed))
    return [from_space.suggest(partial(_drawn, generator))[0] for _ in range(count)]


def families(ground: Ground) -> list[Candidate]:
    """Return every shape at every learning rate, shape by shape."""
    return family_pool(ground.optimizer, [float(f"{10 ** (k / 4):.6g}") for k in ground.exponents])


def family_pool(optimizer: Mapping[str, Any], rates: Sequence[float]) -> list[Candidate]:
    """Return the 16 shapes at each learning rate, shape by shape."""
    return [
        Candidate.model_validate({"optimizer": optimizer, "initial_lr": rate, "schedule": shape})
        for shape, rate in product(FAMILIES.values(), rates)
    ]


def openings() -> list[Candidate]:
    """Return the default baselines at every learning rate at which a search may try them."""
    factors = sorted({*LR_FACTORS, *EDGE_FACTORS.values()})
    return [BASELINES[name].with_lr(factor) for name in default_baselines(sparse=False) for factor in factors]


def narrowed(candidates: Sequence[Candidate], finals: Sequence[float]) -> dict[str, tuple[float, float]]:
    """Return for each optimizer the learning rates within four times the median of its best 5 %."""
    ranges = {}
    for kind in space().optimizers:
        own = [i for i, candidate in enumerate(candidates) if candidate.optimizer.kind == kind]
        best = sorted(own, key=lambda i: finals[i])[: max(5, round(BEST_SHARE * len(own)))]
        centre = float(np.median([candidates[i].initial_lr for i in best]))
        ranges[kind] = (float(f"{centre / NARROW:.6g}"), float(f"{centre * NARROW:.6g}"))
    return ranges


def _drawn(generator: np.random.Generator, _name: str, allowed: AnyRange) -> Scalar:
    if isinstance(allowed, Choice):
        return allowed.choices[int(generator.integers(len(allowed.choices)))]
    if isinstance(allowed, IntRange):
        return int(generator.integers(allowed.low, allowed.high, endpoint=True))
    if allowed.one_minus:
        return 1 - _between(generator, 1 - allowed.high, 1 - allowed.low, log=True)
    return _between(generator, allowed.low, allowed.high, log=allowed.log)


def _between(generator: np.random.Generator, low: float, high: float, *, log: bool) -> float:
    if log:
        return float(np.exp(generator.uniform(np.log(low), np.log(high))))
    return float(generator.uniform(low, high))
