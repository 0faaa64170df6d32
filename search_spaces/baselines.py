"""Baselines: what a practitioner would pick without searching, and how many of its trials a budget affords."""

from __future__ import annotations

from collections.abc import Sequence

from .candidate import Candidate
from .modifiers import Warmup
from .optimizers import SGD, Adagrad, Adam, AdamW, NAdamW, ScheduleFreeAdamW, ScriptOptimizer, SparseAdam
from .schedules import Constant, Cosine, Linear, Multistep, OneCycle, Script

_WARMUP = Warmup(fraction=0.05)
_SGD = SGD(momentum=0.9, nesterov=True, weight_decay=5e-4)

BASELINES: dict[str, Candidate] = {
    "sgd-cosine": Candidate(optimizer=_SGD, initial_lr=0.1, schedule=Cosine()),
    "adamw-warmup-cosine": Candidate(optimizer=AdamW(), initial_lr=1e-3, schedule=Cosine(warmup=_WARMUP)),
    "adamw-linear-to-zero": Candidate(optimizer=AdamW(), initial_lr=1e-3, schedule=Linear()),
    "sgd-step": Candidate(optimizer=_SGD, initial_lr=0.1, schedule=Multistep(milestones=[0.5, 0.75], gamma=0.1)),
    "adam-constant": Candidate(optimizer=Adam(), initial_lr=1e-3, schedule=Constant()),
    "onecycle": Candidate(optimizer=_SGD, initial_lr=0.1, schedule=OneCycle()),
    "nadamw-warmup-cosine": Candidate(optimizer=NAdamW(), initial_lr=1e-3, schedule=Cosine(warmup=_WARMUP)),
    "schedule-free-adamw": Candidate(
        optimizer=ScheduleFreeAdamW(), initial_lr=2.5e-3, schedule=Constant(warmup=_WARMUP)
    ),
    "sparse-adam-constant": Candidate(optimizer=SparseAdam(), initial_lr=1e-3, schedule=Constant()),
    "adagrad-constant": Candidate(optimizer=Adagrad(), initial_lr=1e-2, schedule=Constant()),
}
"""Every baseline that a confirmation may name, in the catalogue's order."""

SCRIPT_BASELINES = ("script-warmup-cosine", "script-linear-to-zero")
"""Baselines of a task that is a script and keeps its own optimizer."""

LR_FACTORS = (0.3, 1.0, 3.0)
"""A baseline is tuned at these multiples of its initial LR."""
EDGE_FACTORS = {0.3: 0.1, 3.0: 10.0}
"""Where the best of the three is at an edge, this multiple follows."""
LEAST_TRIALS_FOR_TUNING = 20
"""A smaller budget tries each baseline once."""


def default_baselines(sparse: bool) -> list[str]:
    """Return the names confirmed where a study names none, without `current`."""
    if sparse:
        return ["sparse-adam-constant", "adagrad-constant"]
    return ["sgd-cosine", "adamw-warmup-cosine", "adamw-linear-to-zero"]


def script_current(initial_lr: float) -> Candidate:
    """Return what a script does by itself; `initial_lr` is the largest LR that it sets."""
    return Candidate(optimizer=ScriptOptimizer(), initial_lr=initial_lr, schedule=Script())


def script_baselines(initial_lr: float) -> dict[str, Candidate]:
    """Return what one would try first on a script's own optimizer, at the largest LR that the script sets."""
    own = script_current(initial_lr)
    schedules = (Cosine(warmup=_WARMUP), Linear())
    named = zip(SCRIPT_BASELINES, schedules, strict=True)
    return {name: own.model_copy(update={"schedule": schedule}) for name, schedule in named}


def plan_baselines(names: Sequence[str], budget: int) -> list[tuple[str, float]]:
    """Return the baselines' first trials as (name, LR factor) in the order in which they are proposed.

    Together they take at most half of `budget` trials, rounded up: from the end of the list first the factors 0.3
    and 3 fall away, then whole baselines. Under 20 trials there is factor 1 only.
    """
    kept, tuned = _afforded(names, budget)
    return [(name, 1.0) for name in kept] + [(name, factor) for factor in (0.3, 3.0) for name in tuned]


def edge_allowance(names: Sequence[str], budget: int) -> list[str]:
    """Return the baselines that may get one trial more, should their best factor be at an edge."""
    kept, tuned = _afforded(names, budget)
    left = _half(budget) - len(kept) - 2 * len(tuned)
    return tuned[:left]


def _afforded(names: Sequence[str], budget: int) -> tuple[list[str], list[str]]:
    """Return the baselines that get a trial, and those of them that get all three."""
    kept = list(names)[: _half(budget)]
    if budget < LEAST_TRIALS_FOR_TUNING:
        return kept, []
    return kept, kept[: (_half(budget) - len(kept)) // 2]


def _half(budget: int) -> int:
    return (budget + 1) // 2
