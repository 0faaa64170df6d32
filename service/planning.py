"""What a valid spec would do and cost, before anything is spent."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from statistics import fmean

from search_spaces.plan import PlannedDetection, PlannedSeconds, PlannedTrainings, PlannedTrial, StudyPlan
from search_spaces.results import Answer
from search_spaces.steps import whole_steps
from search_spaces.study import EXTERNAL_TASK, PrunerSpec, ResolvedStudy, StudySpec
from search_spaces.target import LEAST_FRACTION
from search_spaces.work import OfferedTask
from store import Store
from store.earlier import Earlier, TimedTrials, earlier_studies
from store.workers import live_slots

from .confirmation import LEAST_SEEDS
from .detectable import detectable_gain
from .margins import lower_quantile
from .noise import SeedNoise, noise_of, on_board, pooled
from .opponents import Opponents, first_tries, opponents_of, tuning_tries
from .submission import Resolution
from .targets import ROUNDS, TRAINED_SHARE

MEDIAN_KEEPS = 0.5
MOST_SEEDS = 100
"""Of a confirmation."""


def plan_study(
    store: Store, spec: StudySpec, resolution: Resolution | None, offer: OfferedTask | None, step_seconds: float | None
) -> StudyPlan:
    """Plan a study whose spec is valid; `step_seconds` are a worker's for one update, where they were measured."""
    if resolution is None:
        warning = f"no worker has offered the task {spec.task.name} yet: neither its horizon nor its cost is known"
        return StudyPlan(name=spec.name, state="queued", trials=spec.budget.trials, warnings=[warning])
    resolved, space = resolution
    sparse = offer is not None and offer.sparse_gradients
    opponents = opponents_of(spec, space, sparse=sparse, script=offer.script if offer else None)
    tries = first_tries(opponents, spec.budget.trials)
    trainings = planned_trainings(spec, resolved, opponents)
    slots = live_slots(store, spec.task.name, resolved.task_version)
    # Loops of anybody's are trained under the name `external`: what one of them cost says nothing of another.
    known = Earlier([], []) if offer is None else earlier_studies(store, spec.task, resolved.task_version)
    seconds = planned_seconds(trainings, resolved, known.timed, len(slots), step_seconds)
    detects = planned_detection(trainings, opponents, spec, known_noise(spec, resolved, known.answers))
    return StudyPlan(
        name=spec.name,
        state="running",
        metric=resolved.metric,
        direction=resolved.direction,
        horizon_steps=resolved.horizon_steps,
        rungs=resolved.rungs,
        space=space,
        trials=spec.budget.trials,
        first_trials=[PlannedTrial(name=one.name, lr_factor=one.factor) for one in tries],
        target=resolved.target,
        confirmation_trainings=_arms(opponents, spec) * spec.confirmation.seeds * (ROUNDS if resolved.target else 1),
        workers=len(slots),
        slots=sum(slots),
        trainings=trainings,
        seconds=seconds,
        detects=detects,
        warnings=_warnings(spec, trainings, seconds, detects, len(slots)),
    )


def _arms(opponents: Opponents, spec: StudySpec) -> int:
    return len(opponents.names) + spec.confirmation.top


# Trainings


def planned_trainings(spec: StudySpec, resolved: ResolvedStudy, opponents: Opponents) -> PlannedTrainings:
    """Count the trainings of each part, those of the search as pruning is expected to leave them."""
    budget, arms = spec.budget.trials, _arms(opponents, spec)
    first = len(first_tries(opponents, budget))
    # Baselines are never pruned, and a rung decides nothing before it holds its first values.
    whole = budget if not resolved.rungs else min(budget, max(first, spec.pruner.startup_trials))
    share = trained_share(spec.pruner, resolved)
    if resolved.target is None:
        search = whole * whole_share(spec.pruner, resolved) + (budget - whole) * share
    else:  # the baselines are trained over T, all others over horizons of their own
        search = first + (budget - first) * share
    tuning = len(tuning_tries(opponents, budget, [], resolved.direction))
    wanted = spec.confirmation.seeds
    each = 1.0 if resolved.target is None else TRAINED_SHARE
    afforded = math.floor((spec.confirmation.max_share * search - tuning) / (arms * each)) if arms else wanted
    seeds = min(wanted, max(min(LEAST_SEEDS, wanted), afforded))
    return PlannedTrainings(
        search=round(search, 2),
        tuning=tuning,
        confirmation=math.ceil(arms * seeds * each),
        seeds=seeds,
        extras=arms * seeds if spec.confirmation.extras and resolved.target is None else 0,
    )


def trained_share(pruner: PrunerSpec, resolved: ResolvedStudy) -> float:
    """Return the share of a full training that a trial takes on average, once rungs decide.

    Of n trials at a rung `keep` pass, so that the stretch behind the k-th is trained by keep^k of them; those that run
    on all the same are trained whole.
    """
    if resolved.target is not None:  # the mean of horizons that are even in their logarithm
        return (1 - LEAST_FRACTION) / -math.log(LEAST_FRACTION)
    if not resolved.rungs:
        return 1.0
    keep = pruner.keep if pruner.kind == "halving" else MEDIAN_KEEPS
    stretches = _stretches(pruner, resolved)
    steps = math.fsum(stretch * keep**passed for passed, stretch in enumerate(stretches))
    return (pruner.run_on * sum(stretches) + (1 - pruner.run_on) * steps) / resolved.horizon_steps


def whole_share(pruner: PrunerSpec, resolved: ResolvedStudy) -> float:
    """Return what a trial that passes every rung takes, in full trainings: 1, and what rungs ask for beside it."""
    return sum(_stretches(pruner, resolved)) / resolved.horizon_steps


def _stretches(pruner: PrunerSpec, resolved: ResolvedStudy) -> list[int]:
    """Return the updates up to the first rung, from each to the next, and to the horizon, with what rungs ask for."""
    ends = [*resolved.rungs, resolved.horizon_steps]
    if pruner.fidelity == "rescaled":
        return ends
    stretches = [later - earlier for earlier, later in itertools.pairwise([0, *ends])]
    if pruner.fidelity == "cooldown":
        branch = whole_steps(pruner.cooldown, resolved.horizon_steps)
        stretches[:-1] = [stretch + branch for stretch in stretches[:-1]]
    return stretches


# Seconds


def planned_seconds(
    trainings: PlannedTrainings,
    resolved: ResolvedStudy,
    timed: Sequence[TimedTrials],
    workers: int,
    measured: float | None,
) -> PlannedSeconds | None:
    """Say what the trainings cost; None where neither a measurement nor a past trial tells it.

    The wall time goes by the number of workers, not of slots: trials that are packed share their worker's seconds.
    """
    known = _step_seconds(resolved, timed, measured)
    if known is None:
        return None
    step_seconds, source = known
    training = step_seconds * resolved.horizon_steps
    total = training * trainings.certain
    return PlannedSeconds(
        training=training,
        search=training * trainings.search,
        confirmation=training * (trainings.tuning + trainings.confirmation),
        extras=training * trainings.extras,
        total=total,
        wall=total / workers if workers else None,
        source=source,
    )


def _step_seconds(
    resolved: ResolvedStudy, timed: Sequence[TimedTrials], measured: float | None
) -> tuple[float, str] | None:
    """Return a worker's seconds for one step, by trials over the same horizon if there are any, and their source."""
    if measured is not None:
        return measured, "a short trial that was measured for it, alone: many in one pack cost less"
    alike = [one for one in timed if one.horizon_steps == resolved.horizon_steps]
    used = alike or list(timed)
    seconds = [value for one in used for value in one.step_seconds]
    if not seconds:
        return None
    where = f"over {resolved.horizon_steps} steps" if alike else "over other horizons"
    return fmean(seconds), f"{len(seconds)} past trials of the task {where}"


# What the confirmation can see


def known_noise(spec: StudySpec, resolved: ResolvedStudy, answers: Sequence[Answer]) -> SeedNoise | None:
    """Return the noise between seeds at the study's task and horizon; None where nothing tells it."""
    if spec.task.name == EXTERNAL_TASK:
        return None
    alike = [one for one in answers if _is_alike(one, resolved)]
    found = [noise_of(one.evidence.arms, f"the confirmation of {one.study}") for one in alike]
    known = pooled([one for one in found if one is not None])
    if known is not None or spec.task.params or resolved.target is not None:
        return known
    return on_board(spec.task.name, resolved.horizon_steps)


def _is_alike(answer: Answer, resolved: ResolvedStudy) -> bool:
    """Tell whether an answer's values are what a study's would be: with a target, steps to the same within the same."""
    if resolved.target is not None or answer.target is not None:
        return answer.target == resolved.target
    return answer.horizon == resolved.horizon_steps


def planned_detection(
    trainings: PlannedTrainings, opponents: Opponents, spec: StudySpec, noise: SeedNoise | None
) -> PlannedDetection | None:
    """Say the smallest gain that the confirmation shows with a chance of 80 %; None where the noise is not known.

    A confirmation on one seed, of a training that repeats itself exactly, shows nothing of the kind.
    """
    if noise is None or not opponents.names or trainings.seeds < 2:
        return None
    arms = (spec.confirmation.top, len(opponents.names))
    gain = detectable_gain(arms=arms, seeds=trainings.seeds, noise=noise.deviation, correlation=noise.correlation)
    return PlannedDetection(gain=gain, noise=noise.deviation, correlation=noise.correlation, source=noise.source)


# Warnings


def _warnings(
    spec: StudySpec,
    trainings: PlannedTrainings,
    seconds: PlannedSeconds | None,
    detects: PlannedDetection | None,
    workers: int,
) -> list[str]:
    warnings = []
    hoped = spec.objective.min_gain
    if hoped is not None and detects is not None and hoped < detects.gain:
        seeds = seeds_to_detect(hoped, detects.gain, trainings.seeds, spec.confirmation.top)
        taken = f"more than {MOST_SEEDS}" if seeds is None else f"about {seeds}"
        warnings.append(
            f"objective.min_gain is {hoped:g}, and this confirmation detects gains of at least {detects.gain:.3g}: "
            f"it would take {taken} seeds (confirmation.seeds) to see as little"
        )
    if trainings.seeds < spec.confirmation.seeds:
        warnings.append(
            f"confirmation.max_share is expected to pay for {trainings.seeds} of {spec.confirmation.seeds} seeds"
        )
    if not workers and spec.task.name != EXTERNAL_TASK:
        warnings.append(f"no live worker offers the task {spec.task.name}: nothing is trained until one does")
    return warnings + _budget_warnings(spec, seconds)


def seeds_to_detect(hoped: float, detected: float, seeds: int, candidates: int) -> int | None:
    """Return about how many seeds detect a gain of `hoped`, if `seeds` detect one of `detected`; None beyond the most.

    What can be detected shrinks with the root of the seeds, and with Student's t, which is wide for few of them.

    >>> seeds_to_detect(1.92, 6.9, 3, 2), seeds_to_detect(0.01, 6.9, 3, 2)
    (11, None)
    """
    sizes = {n: (lower_quantile(candidates, n) + 0.5) / math.sqrt(n) for n in range(seeds, MOST_SEEDS + 1)}
    return next((n for n, size in sizes.items() if detected * size / sizes[seeds] <= hoped), None)


def _budget_warnings(spec: StudySpec, seconds: PlannedSeconds | None) -> list[str]:
    if seconds is None:
        return []
    warnings = []
    allowed, deadline = spec.budget.worker_seconds, spec.budget.deadline
    if allowed is not None and allowed < seconds.search:
        warnings.append(
            f"budget.worker_seconds is {allowed:g}, and the search is expected to take {seconds.search:.0f}"
        )
    if deadline is not None and seconds.wall is not None:
        left = (deadline - datetime.now(UTC)).total_seconds()
        if left < seconds.wall:
            warnings.append(
                f"budget.deadline is {left:.0f} s away, and the study is expected to take {seconds.wall:.0f} s"
            )
    return warnings
