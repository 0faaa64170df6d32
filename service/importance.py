"""Which parameters moved the metric: Optuna's importance, of all trials and within each family."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import optuna
from optuna.trial import TrialState, create_trial

from search_spaces.insight import GroupImportance, ParameterImportance
from search_spaces.ranges import AnyRange
from search_spaces.study import Direction
from store.insights import EndedTrial

from .sampling import on_scale, scale_of

LEAST_TRIALS = 10
"""Fewer complete trials say nothing of a parameter."""
MOST_TRIALS = 2000
"""Complete trials that importance is computed from, the latest: its cost grows with them."""
TARGET_SHARE = 0.1
"""The evaluator asks what makes a trial one of this share of the best."""
PARTS = ("optimizer", "schedule")
Trials = Sequence[EndedTrial]


def family_of(trial: EndedTrial, part: str) -> str:
    """Return the optimizer or the schedule of a trial; where there is nothing to choose, the schedule is constant."""
    return str(trial.params.get(part, "constant"))


def importance_of(trials: Trials, ranges: Mapping[str, AnyRange], direction: Direction) -> list[GroupImportance]:
    """Return the importance among all trials, then within each optimizer and each schedule.

    A parameter counts only among trials that have it: those of a family are judged within that family, those that
    every trial has (`optimizer`, `schedule`, ...) among all.
    """
    complete = [trial for trial in trials if _counts(trial, ranges)][-MOST_TRIALS:]
    groups = [_group("all", complete, _shared(complete), ranges, direction)]
    for part in PARTS:
        for family in sorted({family_of(trial, part) for trial in complete}):
            own = [trial for trial in complete if family_of(trial, part) == family]
            names = {name for trial in own for name in trial.params if name.startswith(_prefixes(part, family))}
            if names:
                groups.append(_group(f"{part} {family}", own, names, ranges, direction))
    return groups


def _prefixes(part: str, family: str) -> tuple[str, ...]:
    """Return how the parameters of a family begin; a schedule's are also those of what is put around it."""
    return (f"{family}.",) if part == "optimizer" else (f"{family}.", "warmup.", "restarts.")


def _counts(trial: EndedTrial, ranges: Mapping[str, AnyRange]) -> bool:
    finite = trial.state == "complete" and trial.value is not None and math.isfinite(trial.value)
    return finite and all(name in ranges and ranges[name].holds(value) for name, value in trial.params.items())


def _shared(trials: Trials) -> set[str]:
    """Return the parameters that every trial has."""
    every = [set(trial.params) for trial in trials]
    return set.intersection(*every) if every else set()


def _group(
    group: str, trials: Trials, names: Iterable[str], ranges: Mapping[str, AnyRange], direction: Direction
) -> GroupImportance:
    searched = sorted(name for name in names if _is_searched(ranges[name]))
    if len(trials) < LEAST_TRIALS:
        return GroupImportance(
            group=group, trials=len(trials), why_none=f"{len(trials)} complete trials; it takes {LEAST_TRIALS}"
        )
    if not searched:
        return GroupImportance(group=group, trials=len(trials), why_none="nothing of it is searched")
    shares = {} if _are_alike(trials, direction) else _shares(trials, searched, ranges, direction)
    if not shares or not all(map(math.isfinite, shares.values())) or sum(shares.values()) == 0:
        return GroupImportance(group=group, trials=len(trials), why_none="no parameter made a difference")
    listed = [ParameterImportance(parameter=name, share=share) for name, share in shares.items()]
    listed.sort(key=lambda one: (-one.share, one.parameter))
    return GroupImportance(group=group, trials=len(trials), parameters=listed)


def _are_alike(trials: Trials, direction: Direction) -> bool:
    """Tell whether the tenth of the trials that the evaluator sets against the others cannot be told from them."""
    ranked = sorted((trial.value or 0.0 for trial in trials), reverse=direction == "maximize")
    return ranked[math.ceil(TARGET_SHARE * len(ranked)) - 1] == ranked[-1]


def _is_searched(allowed: AnyRange) -> bool:
    return len(set(allowed.ends)) > 1


def _shares(trials: Trials, names: list[str], ranges: Mapping[str, AnyRange], direction: Direction) -> dict[str, float]:
    """Ask Optuna's default evaluator, PED-ANOVA, which knows parameters that only some trials have."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction=direction)
    study.add_trials([_frozen(trial, names, ranges) for trial in trials])
    return dict(optuna.importance.get_param_importances(study, params=names))


def _frozen(trial: EndedTrial, names: Sequence[str], ranges: Mapping[str, AnyRange]) -> optuna.trial.FrozenTrial:
    known: dict[str, Any] = {name: trial.params[name] for name in names if name in trial.params}
    return create_trial(
        state=TrialState.COMPLETE,
        value=trial.value,
        params={name: on_scale(ranges[name], value) for name, value in known.items()},
        distributions={name: scale_of(ranges[name]) for name in known},
    )
