"""The confirmation: which arms are trained again, on which fresh seeds, and what came of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from search_spaces.candidate import Candidate
from search_spaces.results import Arm
from search_spaces.target import Target
from store.history import IMPORTED
from store.proposals import NewProposal, Past
from store.states import ENDED_TRIAL

from .asking import is_extra
from .finalists import finalists
from .opponents import CURRENT, Try, tuned_candidate, tuning_tries
from .search import SAMPLED, Search
from .seeds import derived_seed
from .targets import ROUNDS, TRAINED_SHARE, bracket, steps_to

LEAST_SEEDS = 3
"""`max_share` takes no seeds below this."""
SEEDLESS = {
    "fixed": (
        "no confirmation on fresh seeds: the script takes no seed, and its trainings are all alike; each arm was "
        "trained once more, which says nothing of chance",
    ),
    "repeats": (
        "the script takes no seed: in place of fresh seeds its trainings were repeated, which differ by themselves; "
        "each number of a seed stands for one repetition",
    ),
}
"""What the answer says of a script that cannot be trained on seeds."""
OWN = (SAMPLED, IMPORTED)
"""Origins of the trials that a search puts forward: all but the baselines'."""


@dataclass(frozen=True)
class PlannedArm:
    """One candidate or baseline to be trained on every seed."""

    name: str
    role: Literal["candidate", "baseline"]
    candidate: Candidate
    tuned: bool = True

    @property
    def origin(self) -> str:
        """What its trials' `origin` says."""
        return f"confirmation:{self.name}"


@dataclass(frozen=True)
class Plan:
    """A whole confirmation: every arm on every seed."""

    arms: list[PlannedArm]
    seeds: list[int]
    notes: list[str] = field(default_factory=list)
    target: Target | None = None
    """What is to be reached in the fewest steps, if anything is: then an arm has several horizons on each seed."""

    @property
    def size(self) -> int:
        """Trainings in all; with a target at most."""
        return len(self.arms) * len(self.seeds) * (1 if self.target is None else ROUNDS)


def tuning_proposals(search: Search, past: Sequence[Past]) -> list[NewProposal]:
    """Return the trials that tune baselines outside the space and are not proposed yet."""
    places = {trial.seq for trial in past if trial.purpose == "tuning"}
    tries = tuning_tries(search.opponents, search.budget, past, search.resolved.direction)
    return [_tuning(search, place, one) for place, one in tries.items() if place not in places]


def _tuning(search: Search, place: int, one: Try) -> NewProposal:
    return NewProposal(
        seq=place,
        purpose="tuning",
        origin=one.origin,
        candidate=one.candidate,
        params=None,
        seed=search.spec.seed,
        prunable=False,
    )


def plan_confirmation(search: Search, past: Sequence[Past]) -> Plan:
    """Plan the confirmation of a search whose trials, and those that tune its baselines, have all ended.

    It follows from `past` alone, so that it is the same after a restart.
    """
    arms = _as_begun([*_candidates(search, past), *_baselines(search, past)], past)
    wanted = search.spec.confirmation.seeds if search.seeding != "fixed" else 1
    afforded = min(wanted, max(min(LEAST_SEEDS, wanted), _affordable_seeds(search, past, len(arms))))
    notes = list(SEEDLESS.get(search.seeding, ()))
    if afforded < wanted:
        share = search.spec.confirmation.max_share
        notes.append(
            f"{afforded} of {wanted} seeds: the confirmation is held to {share:g} times the search's worker-seconds"
        )
    seeds = [confirmation_seed(search, index) for index in range(afforded)]
    return Plan(arms, seeds, notes, search.resolved.target)


def _as_begun(arms: Sequence[PlannedArm], past: Sequence[Past]) -> list[PlannedArm]:
    """Keep what is in training already: an older version may have chosen others, and values are of what was trained."""
    begun = {trial.origin: trial.candidate for trial in past if trial.purpose == "confirmation" and trial.candidate}
    return [replace(arm, candidate=begun.get(arm.origin, arm.candidate)) for arm in arms]


def confirmation_seed(search: Search, index: int) -> int:
    """Return a seed that no trial of the search had; a budget that was extended confirms on others again."""
    return derived_seed(search.spec.seed, "confirmation", search.budget, index)


def _candidates(search: Search, past: Sequence[Past]) -> list[PlannedArm]:
    """Return the candidates of the search's own that are confirmed."""
    best = finalists(own_trials(past), search.spec.confirmation.top, search.resolved.direction)
    return [PlannedArm(f"candidate-{place}", "candidate", candidate) for place, candidate in enumerate(best, start=1)]


def own_trials(past: Sequence[Past]) -> list[Past]:
    """Return the complete trials that the search itself has put forward."""
    return [trial for trial in past if trial.purpose == "search" and trial.origin in OWN and _has_value(trial)]


def _has_value(trial: Past) -> bool:
    return trial.state == "complete" and trial.value is not None and math.isfinite(trial.value)


def _baselines(search: Search, past: Sequence[Past]) -> list[PlannedArm]:
    """Return `current` exactly as it is and every other baseline at its best LR."""
    arms = []
    if search.opponents.current is not None:
        arms.append(PlannedArm(CURRENT, "baseline", search.opponents.current))
    for name in [*search.opponents.inside, *search.opponents.outside]:
        candidate, tuned = tuned_candidate(search.opponents, name, past, search.resolved.direction)
        arms.append(PlannedArm(name, "baseline", candidate, tuned))
    return arms


def _affordable_seeds(search: Search, past: Sequence[Past], arms: int) -> int:
    """Return how many seeds the share of worker-seconds pays for, given what a full training has cost."""
    each = _arm_seconds(search, past)
    if each == 0 or arms == 0:
        return search.spec.confirmation.seeds
    spent = worker_seconds(past, "search")
    # The ladder's tuning comes later: what it cost must not change the plan that it followed.
    tuning = worker_seconds([trial for trial in past if not is_extra(trial)], "tuning")
    left = search.spec.confirmation.max_share * spent - tuning
    return max(0, math.floor(left / (arms * each)))


def _arm_seconds(search: Search, past: Sequence[Past]) -> float:
    """Return what an arm costs on one seed; 0 where nothing is known."""
    if search.resolved.target is None:
        return training_seconds(past)
    complete = [trial for trial in past if trial.purpose == "search" and trial.state == "complete"]
    steps = sum(trial.horizon_steps or 0 for trial in complete)
    seconds = math.fsum(trial.worker_seconds for trial in complete)
    return TRAINED_SHARE * search.resolved.horizon_steps * seconds / steps if steps else 0.0


def training_seconds(past: Sequence[Past]) -> float:
    """Return the mean worker-seconds of a complete search trial's own training; 0 where nothing is known."""
    costs = [_own_seconds(trial) for trial in past if trial.purpose == "search" and trial.state == "complete"]
    return math.fsum(costs) / len(costs) if costs else 0.0


def _own_seconds(trial: Past) -> float:
    """Return a trial's worker-seconds without its share of what its rungs asked for beside."""
    updates = trial.steps_done + trial.extra_steps
    return trial.worker_seconds * (trial.steps_done / updates if trial.extra_steps else 1.0)


def worker_seconds(past: Sequence[Past], *purposes: str) -> float:
    """Return what all trials of these purposes have cost."""
    return math.fsum(trial.worker_seconds for trial in past if trial.purpose in purposes)


def confirmation_proposals(plan: Plan, past: Sequence[Past] = ()) -> list[NewProposal]:
    """Return every training of the plan, seed by seed, so that all arms go forward together.

    With a target those that come next: each arm's next horizon on each seed, by what has ended.
    """
    if plan.target is not None:
        return _next_horizons(plan, plan.target, past)
    return [
        _training(arm, seed, len(plan.arms) * index + place)
        for index, seed in enumerate(plan.seeds)
        for place, arm in enumerate(plan.arms)
    ]


def _training(arm: PlannedArm, seed: int, seq: int, horizon_steps: int | None = None) -> NewProposal:
    return NewProposal(
        seq=seq,
        purpose="confirmation",
        origin=arm.origin,
        candidate=arm.candidate,
        params=None,
        seed=seed,
        prunable=False,
        horizon_steps=horizon_steps,
    )


def _next_horizons(plan: Plan, target: Target, past: Sequence[Past]) -> list[NewProposal]:
    ended, width = _metrics(target, past), len(plan.arms) * len(plan.seeds)
    proposals = []
    for index, seed in enumerate(plan.seeds):
        for place, arm in enumerate(plan.arms):
            tried = ended.get((arm.origin, seed), {})
            wanted = bracket(target, tried).wanted
            if wanted is not None:
                seq = width * len(tried) + len(plan.arms) * index + place
                proposals.append(_training(arm, seed, seq, wanted))
    return proposals


def _metrics(target: Target, past: Sequence[Past]) -> dict[tuple[str, int], dict[int, float]]:
    """Return the metric at the end of each training by origin and seed, then by horizon; nan where it failed."""
    found: dict[tuple[str, int], dict[int, float]] = {}
    for trial in past:
        if trial.purpose == "confirmation" and trial.state in ENDED_TRIAL and trial.horizon_steps is not None:
            metric = trial.metrics.get(target.metric, math.nan) if trial.state == "complete" else math.nan
            found.setdefault((trial.origin, trial.seed), {})[trial.horizon_steps] = metric
    return found


def is_over(plan: Plan, past: Sequence[Past]) -> bool:
    """Tell whether every training of the plan has ended."""
    if plan.target is not None:
        return not _next_horizons(plan, plan.target, past)
    ended = [trial for trial in past if trial.purpose == "confirmation" and trial.state in ENDED_TRIAL]
    return sum(not is_extra(trial) for trial in ended) >= plan.size


def arms_of(plan: Plan, past: Sequence[Past]) -> list[Arm]:
    """Return the plan's arms with their value on each seed; nan where the training did not end well."""
    values = _values(past) if plan.target is None else _steps(plan, plan.target, past)
    arms = []
    for arm in plan.arms:
        known = {seed: values.get((arm.origin, seed), math.nan) for seed in plan.seeds}
        arms.append(Arm(name=arm.name, role=arm.role, candidate=arm.candidate, tuned=arm.tuned, values=known))
    return arms


def _values(past: Sequence[Past]) -> dict[tuple[str, int], float]:
    return {
        (trial.origin, trial.seed): trial.value
        for trial in past
        if trial.purpose == "confirmation" and trial.value is not None and _has_value(trial)
    }


def _steps(plan: Plan, target: Target, past: Sequence[Past]) -> dict[tuple[str, int], float]:
    """Return the steps to the target by origin and seed.

    Within T a candidate that misses it has no value, and so cannot win; a baseline has T, which is in its favour.
    """
    ended = _metrics(target, past)
    found = {}
    for arm in plan.arms:
        missed = float(target.horizon_steps) if arm.role == "baseline" else math.nan
        for seed in plan.seeds:
            steps = steps_to(target, ended.get((arm.origin, seed), {}))
            found[arm.origin, seed] = steps if math.isfinite(steps) else missed
    return found


def missed_seeds(plan: Plan, past: Sequence[Past]) -> dict[str, int]:
    """Return on how many seeds arms did not get to the target within T; only of those that there are any."""
    if plan.target is None:
        return {}
    ended, target = _metrics(plan.target, past), plan.target
    counts = {
        arm.name: sum(math.isinf(steps_to(target, ended.get((arm.origin, seed), {}))) for seed in plan.seeds)
        for arm in plan.arms
    }
    return {name: count for name, count in counts.items() if count}
