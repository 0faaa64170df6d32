"""What becomes of a past trial: the sampler learns from it, its candidate is tried first, or it is left out."""

from __future__ import annotations

import math
from collections.abc import Sequence

from search_spaces.history import HistoryItem, PastTrial
from search_spaces.misfits import misfit
from search_spaces.study import TaskSpec
from store import Store
from store.history import Kept, Receiver, receiver, remember

FIRST_SHARE = 0.25
"""Of a search's budget, how much may go to candidates that were sent as past trials."""


def take(store: Store, name: str, trials: Sequence[PastTrial]) -> list[HistoryItem]:
    """Judge past trials for a study and keep what it can use; say of each what it became.

    Of more proposals than there is room for, those with the best values are taken.

    Raises:
        NotFound: there is no such study.
        Conflict: its space is not known yet, or its search is over.
    """
    study = receiver(store, name)
    judged = [judge(study, trial) for trial in trials]
    order = sorted(range(len(judged)), key=lambda place: rank(study, judged[place].trial))
    most = math.ceil(FIRST_SHARE * study.spec.budget.trials)
    kept = remember(store, study.study_id, [judged[place] for place in order], most_proposals=most)
    items = [
        HistoryItem(trial=place, becomes=one.becomes, why=one.why, new=one.new)
        for place, one in zip(order, kept, strict=True)
    ]
    return sorted(items, key=lambda item: item.trial)


def judge(study: Receiver, trial: PastTrial) -> Kept:
    """Say what a past trial can be for a study, apart from the room that is left."""
    params = study.space.params_of(trial.candidate)
    point = None if params is None else study.space.candidate_of(params)
    if params is None or point is None:
        return Kept(trial, "left_out", misfit(study.space, trial.candidate) or "it is no point of the space")
    trial = trial.model_copy(update={"candidate": point})
    unlike = _unlike(study, trial)
    if unlike is None:
        return Kept(trial, "history", f"the same task over {study.resolved.horizon_steps} steps", params)
    if trial.value is not None and not math.isfinite(trial.value):
        return Kept(trial, "left_out", f"{unlike}, and it diverged there")
    return Kept(trial, "proposal", unlike, params)


def _unlike(study: Receiver, trial: PastTrial) -> str | None:
    """Say why a past trial's value cannot be compared with the study's own; None where it can."""
    if study.resolved.target is not None:
        return "the study looks for the steps to a target, which a value over one horizon does not say"
    task = trial.task or study.spec.task
    if not _same_task(study, task):
        return f"it was trained on another task ({_task_words(study, task)})"
    horizon = study.resolved.horizon_steps
    if trial.horizon_steps is None:
        return f"its horizon is not said; the study's is {horizon} steps"
    if trial.horizon_steps != horizon:
        return f"it was trained over {trial.horizon_steps} steps, the study trains over {horizon}"
    return "it has no value" if trial.value is None else None


def _same_task(study: Receiver, task: TaskSpec) -> bool:
    own = study.spec.task
    version = task.version in (None, own.version, study.resolved.task_version)
    return task.name == own.name and task.params == own.params and version


def _task_words(study: Receiver, task: TaskSpec) -> str:
    if task.name != study.spec.task.name:
        return task.name
    return "other parameters" if task.params != study.spec.task.params else f"version {task.version}"


def rank(study: Receiver, trial: PastTrial) -> tuple[bool, float]:
    """Sort past trials by value, the best first; those without one last. Equal ones keep their order."""
    value = trial.value
    if value is None or not math.isfinite(value):
        return True, 0.0
    return False, value if study.resolved.direction == "minimize" else -value
