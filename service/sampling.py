"""Drawing points of a space: Optuna's samplers on an in-memory study that is fed from the store's history.

Only public functions of Optuna are used. Nothing here reads or writes the store, and nothing is kept between calls:
the same history and seed give the same points.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from search_spaces.candidate import Candidate
from search_spaces.ranges import AnyRange, Choice, FloatRange, IntRange, Scalar
from search_spaces.space import Space
from search_spaces.study import Direction, SamplerSpec
from store.history import DIVERGED
from store.proposals import Past
from store.states import ENDED_TRIAL, OPEN_TRIAL

from .seeds import derived_seed

STARTUP_TRIALS = 10
"""Below so many trials TPE draws evenly."""
BEST_KEPT, LATEST_KEPT = 150, 350
"""What TPE is shown of a long history: a proposal on 20,000 trials would take 1.4 s."""
LARGE_REFILL = 8
"""A larger refill draws from one sampler; a smaller one from a new sampler for each proposal."""


@dataclass(frozen=True)
class Point:
    """A drawn point: the candidate, and its parameters by their flat names."""

    candidate: Candidate
    params: dict[str, Scalar]


@dataclass(frozen=True)
class Drawing:
    """From what a study's points are drawn, apart from its history."""

    space: Space
    direction: Direction
    sampler: SamplerSpec
    seed: int
    """The study's seed."""
    horizon_steps: int = 1000
    """T, at which curves are compared."""


def draw_points(drawing: Drawing, history: Sequence[Past], seqs: Sequence[int]) -> list[Point]:
    """Draw one point for each of `seqs`, the places of the proposals in the search.

    `history` holds what the sampler may see: ended trials by their outcome, open ones by their values at rungs, and as
    pending before the first. Each point drawn is pending for those after it. Up to eight points each get a sampler of
    their own, seeded by the study's seed and their place; more share the first one's.
    """
    study = _study_of(drawing, history)
    points = []
    for index, seq in enumerate(seqs):
        if index == 0 or len(seqs) <= LARGE_REFILL:
            study.sampler = _sampler(drawing.sampler, derived_seed(drawing.seed, "sampler", seq))
        candidate, params = drawing.space.suggest(partial(suggested, study.ask()))
        points.append(Point(candidate, params))
    return points


def _sampler(spec: SamplerSpec, seed: int) -> BaseSampler:
    if spec.kind == "random":
        return RandomSampler(seed=seed)
    return TPESampler(multivariate=False, constant_liar=True, n_startup_trials=STARTUP_TRIALS, seed=seed)


def _study_of(drawing: Drawing, history: Sequence[Past]) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction=drawing.direction, sampler=RandomSampler(seed=0))
    if drawing.sampler.kind == "random":
        return study
    ranges = drawing.space.ranges()
    fitting = [past for past in history if past.params and drawing.space.candidate_of(past.params) is not None]
    for past in capped(fitting, drawing.direction):
        trial = _frozen(past, ranges)
        if trial is not None:
            study.add_trial(trial)
    return study


def capped(history: Sequence[Past], direction: Direction) -> list[Past]:
    """Return at most the best 150 and the latest 350 ended trials, with every open one, in their order."""
    ended = [past for past in history if past.state in ENDED_TRIAL]
    if len(ended) <= BEST_KEPT + LATEST_KEPT:
        return list(history)
    sign = 1.0 if direction == "minimize" else -1.0
    complete = [past for past in ended if past.state == "complete" and past.value is not None]
    best = sorted(complete, key=lambda past: sign * (past.value or 0.0))[:BEST_KEPT]
    kept = {id(past) for past in best}
    kept |= {id(past) for past in [past for past in ended if id(past) not in kept][-LATEST_KEPT:]}
    return [past for past in history if past.state not in ENDED_TRIAL or id(past) in kept]


def _frozen(past: Past, ranges: Mapping[str, AnyRange]) -> FrozenTrial | None:
    """Write a past trial as Optuna's; None for one that says nothing of its candidate."""
    state, value, rungs = _outcome(past)
    if state is None:
        return None
    return create_trial(
        state=state,
        value=value,
        params={name: on_scale(ranges[name], known) for name, known in past.params.items()},
        distributions={name: scale_of(ranges[name]) for name in past.params},
        intermediate_values=rungs,
    )


def _outcome(past: Past) -> tuple[TrialState | None, float | None, dict[int, float]]:
    rungs = {rung: value for rung, value in past.rungs.items() if not math.isnan(value)}
    if past.state == "complete" and past.value is not None and math.isfinite(past.value):
        return TrialState.COMPLETE, past.value, rungs
    if past.state == "pruned":
        return TrialState.PRUNED, None, rungs
    if past.state == "failed" and past.error == DIVERGED:
        # To TPE a pruned trial that never reported is the worst there is; a failed one would be drawn again.
        return TrialState.PRUNED, None, {}
    if past.state in OPEN_TRIAL:
        # What it has shown at a rung counts at once, as if it had been pruned there; without, it is only pending.
        return (TrialState.PRUNED if rungs else TrialState.RUNNING), None, rungs
    return None, None, {}


# Between a range as people write it and the scale that the sampler draws on


def scale_of(allowed: AnyRange) -> BaseDistribution:
    """Return the distribution on whose scale a range is searched."""
    if isinstance(allowed, Choice):
        return CategoricalDistribution(tuple(allowed.choices))
    if isinstance(allowed, IntRange):
        return IntDistribution(allowed.low, allowed.high)
    if allowed.one_minus:
        return FloatDistribution(1 - allowed.high, 1 - allowed.low, log=True)
    return FloatDistribution(allowed.low, allowed.high, log=allowed.log)


def on_scale(allowed: AnyRange, value: Scalar) -> Any:
    """Put a known value onto the sampler's scale, and exactly onto its range."""
    if isinstance(allowed, Choice):
        place = allowed.index(value)
        assert place is not None
        return allowed.choices[place]
    nearest = allowed.nearest(value)
    assert nearest is not None
    if isinstance(allowed, FloatRange) and allowed.one_minus:
        return min(max(1 - nearest, 1 - allowed.high), 1 - allowed.low)
    return nearest


def suggested(trial: optuna.Trial, name: str, allowed: AnyRange) -> Scalar:
    """Draw a parameter of an Optuna trial, on the scale on which its range is searched."""
    if isinstance(allowed, Choice):
        chosen: Scalar = trial.suggest_categorical(name, tuple(allowed.choices))
        return chosen
    if isinstance(allowed, IntRange):
        return trial.suggest_int(name, allowed.low, allowed.high)
    if allowed.one_minus:
        drawn = 1 - trial.suggest_float(name, 1 - allowed.high, 1 - allowed.low, log=True)
        return min(max(drawn, allowed.low), allowed.high)
    return trial.suggest_float(name, allowed.low, allowed.high, log=allowed.log)
