"""The baselines of a study: which there are, whether its space holds them, and the trials that tune their LR."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from search_spaces.baselines import (
    BASELINES,
    EDGE_FACTORS,
    LEAST_TRIALS_FOR_TUNING,
    LR_FACTORS,
    default_baselines,
    edge_allowance,
    plan_baselines,
)
from search_spaces.candidate import Candidate
from search_spaces.script_space import script_candidates, script_default
from search_spaces.space import Space
from search_spaces.study import Direction, StudySpec
from search_spaces.work import OfferedScript
from store.proposals import Past
from store.states import ENDED_TRIAL

CURRENT = "current"
BASELINE = "baseline:"
"""How the origin of a baseline's trial begins."""
FACTORS_EACH = len(LR_FACTORS) + 1
"""Places that each baseline outside the space has among the tuning trials: its factors and one edge."""


@dataclass(frozen=True)
class Try:
    """A baseline at one multiple of its initial LR."""

    name: str
    factor: float
    candidate: Candidate

    @property
    def origin(self) -> str:
        """What the trial's `origin` says."""
        return CURRENT if self.name == CURRENT else baseline_origin(self.name)


@dataclass(frozen=True)
class Opponents:
    """The baselines of one study, `current` apart, in the order in which they are confirmed."""

    inside: list[str]
    """Tuned by trials of the search, within its budget."""
    outside: list[str]
    """No points of the space: tuned beside the confirmation."""
    current: Candidate | None
    current_inside: bool
    candidates: Mapping[str, Candidate] = field(default_factory=lambda: BASELINES)
    """Every baseline by name, at its initial LR."""

    @property
    def names(self) -> list[str]:
        """Every baseline that is confirmed, `current` first."""
        return ([CURRENT] if self.current is not None else []) + self.inside + self.outside

    def at(self, name: str, factor: float) -> Try:
        """Return a baseline at a multiple of its initial LR."""
        return Try(name, factor, self.candidates[name].with_lr(factor))


def baseline_origin(name: str) -> str:
    """Return the `origin` of the trials of a baseline of the catalogue."""
    return f"{BASELINE}{name}"


def baselines_of(spec: StudySpec, *, sparse: bool, script: OfferedScript | None = None) -> dict[str, Candidate]:
    """Return the baselines that a study confirms, `current` apart: those that it names, else the usual ones.

    Those of a task that is a `script` are on the script's own optimizer, or what its flags can say.
    """
    known = BASELINES if script is None else script_candidates(script)
    named = spec.confirmation.baselines
    if named is None:
        named = list(known) if script is not None and script.mode == "inject" else default_baselines(sparse)
    return {name: known[name] for name in dict.fromkeys(named) if name in known}


def opponents_of(spec: StudySpec, space: Space, *, sparse: bool, script: OfferedScript | None = None) -> Opponents:
    """Sort a study's baselines by whether its space holds every trial that tunes them.

    What a script does by itself is its `current`, unless the study says another.
    """
    candidates = baselines_of(spec, sparse=sparse, script=script)
    factors = LR_FACTORS if spec.budget.trials >= LEAST_TRIALS_FOR_TUNING else (1.0,)
    inside = [name for name in candidates if _holds(space, (candidates[name].with_lr(factor) for factor in factors))]
    current = spec.current or (script_default(script) if script is not None else None)
    return Opponents(
        inside=inside,
        outside=[name for name in candidates if name not in inside],
        current=current,
        current_inside=current is not None and _holds(space, [current]),
        candidates=candidates,
    )


def _holds(space: Space, candidates: Iterable[Candidate]) -> bool:
    return all(space.params_of(candidate) is not None for candidate in candidates)


# Within the search


def first_tries(opponents: Opponents, budget: int) -> list[Try]:
    """Return what the search proposes before it samples: `current`, then the baselines at their LR factors.

    Together at most half of the budget, rounded up.
    """
    if not opponents.current_inside or opponents.current is None:
        return [opponents.at(name, factor) for name, factor in plan_baselines(opponents.inside, budget)]
    planned = plan_baselines(opponents.inside, budget)
    if len(planned) + 1 > _half(budget):
        planned = plan_baselines(opponents.inside, budget - 2)
    own = Try(CURRENT, 1.0, opponents.current)
    return [own, *(opponents.at(name, factor) for name, factor in planned)][: _half(budget)]


def _half(budget: int) -> int:
    return (budget + 1) // 2


def edge_tries(opponents: Opponents, budget: int, ended: Sequence[Past], direction: Direction) -> list[Try]:
    """Return the trials beyond the three factors that `ended` asks for: the best factor was at an edge."""
    left = _half(budget) - len(first_tries(opponents, budget))
    allowed = edge_allowance(opponents.inside, budget)[: max(0, left)]
    found = [_edge(opponents, name, ended, direction) for name in allowed]
    return [edge for edge in found if edge is not None]


def _edge(opponents: Opponents, name: str, ended: Sequence[Past], direction: Direction) -> Try | None:
    """Return the trial that follows a best factor at an edge; None until the three have ended, or if it is not."""
    tried = [past for past in ended if past.origin == baseline_origin(name) and past.state in ENDED_TRIAL]
    if not all(any(_is_try(past, opponents.at(name, factor)) for past in tried) for factor in LR_FACTORS):
        return None
    best = best_of(tried, direction)
    for factor, further in EDGE_FACTORS.items():
        if best is not None and _is_try(best, opponents.at(name, factor)):
            return opponents.at(name, further)
    return None


def is_proposed(wanted: Try, past: Iterable[Past]) -> bool:
    """Tell whether a trial of this baseline at this LR is among `past`."""
    return any(_is_try(trial, wanted) for trial in past)


def _is_try(past: Past, wanted: Try) -> bool:
    return (
        past.origin == wanted.origin
        and past.candidate is not None
        and math.isclose(past.candidate.initial_lr, wanted.candidate.initial_lr, rel_tol=1e-6)
    )


# Beside the confirmation


def tuning_tries(opponents: Opponents, budget: int, past: Sequence[Past], direction: Direction) -> dict[int, Try]:
    """Return the trials that tune the baselines outside the space, by their place among the tuning trials."""
    if budget < LEAST_TRIALS_FOR_TUNING:
        return {}
    tries: dict[int, Try] = {}
    for index, name in enumerate(opponents.outside):
        first = FACTORS_EACH * index
        tries |= {first + place: opponents.at(name, factor) for place, factor in enumerate(LR_FACTORS)}
        edge = _edge(opponents, name, [trial for trial in past if trial.purpose == "tuning"], direction)
        if edge is not None:
            tries[first + len(LR_FACTORS)] = edge
    return tries


def tuned_candidate(
    opponents: Opponents, name: str, past: Sequence[Past], direction: Direction
) -> tuple[Candidate, bool]:
    """Return a baseline at the best LR that was tried, and whether there was more than one to choose from."""
    tried = [
        trial
        for trial in past
        if trial.origin == baseline_origin(name) and trial.state == "complete" and trial.candidate is not None
    ]
    best = best_of(tried, direction)
    if best is None or best.candidate is None:
        return opponents.candidates[name], False
    rates = {trial.candidate.initial_lr for trial in tried if trial.candidate is not None}
    return best.candidate, len(rates) > 1


def best_of(past: Iterable[Past], direction: Direction) -> Past | None:
    """Return the complete trial with the best value, the earliest of equals; None where nothing is complete."""
    sign = 1.0 if direction == "minimize" else -1.0
    complete = [
        trial for trial in past if trial.state == "complete" and trial.value is not None and math.isfinite(trial.value)
    ]
    return min(complete, key=lambda trial: (sign * (trial.value or 0.0), trial.seq or 0), default=None)
