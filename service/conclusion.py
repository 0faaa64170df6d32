"""The answer of a confirmed study, computed once."""

from __future__ import annotations

from collections.abc import Sequence

from search_spaces.describe import describe
from search_spaces.points import HORIZON_FRACTION
from search_spaces.results import Answer, Evidence, MetricName, StudyView
from store.proposals import Past

from .answer import links_of, task_of
from .confirmation import Plan, arms_of, missed_seeds
from .confirmed import Confirmed
from .extras import Extras, extras_of, optimum_of
from .pruning_effect import effect_of, search_trials
from .search import Search
from .sentences import joined, sentences_of
from .verdict import judge, with_statistics


def confirmed_study(search: Search, view: StudyView, plan: Plan, past: Sequence[Past]) -> Confirmed:
    """Judge a study by the trainings of its confirmation, all of them ended."""
    arms = [with_statistics(arm) for arm in arms_of(plan, past)]
    judged = judge(arms, search.resolved.direction, search.spec.objective.min_gain)
    return Confirmed(search, view, plan, past, {arm.name: arm for arm in arms}, judged)


def conclude_study(search: Search, view: StudyView, plan: Plan, past: Sequence[Past]) -> Answer:
    """Compute the answer from what has been trained so far: what else would follow the verdict is not in it."""
    confirmed = confirmed_study(search, view, plan, past)
    return answer_of(confirmed, extras_of(confirmed))


def answer_of(confirmed: Confirmed, extras: Extras) -> Answer:
    """Compute the answer from every trial of the study, all of them ended."""
    resolved = confirmed.search.resolved
    candidate = confirmed.arms[confirmed.chosen].candidate if confirmed.chosen else None
    evidence = _evidence(confirmed, extras)
    sentences = sentences_of(confirmed, evidence)
    return Answer(
        study=confirmed.view.name,
        status="final",
        verdict=confirmed.judged.verdict,
        sentence=joined(sentences),
        sentences=sentences,
        candidate=candidate,
        candidate_text=None if candidate is None else describe(candidate),
        horizon=confirmed.horizon_of(confirmed.chosen),
        metric=MetricName(name=resolved.metric, direction=resolved.direction),
        target=resolved.target,
        task=task_of(confirmed.view, resolved.task_version),
        seeds=confirmed.plan.seeds,
        evidence=evidence,
        compute=confirmed.compute,
        links=links_of(confirmed.view.name),
    )


def _evidence(confirmed: Confirmed, extras: Extras) -> Evidence:
    arms, judged = list(confirmed.arms.values()), confirmed.judged
    untuned = [f"{arm.name}: not tuned" for arm in arms if not arm.tuned]
    resolved = confirmed.search.resolved
    searched = search_trials(confirmed.past)
    pruning = effect_of(searched, resolved.direction, resolved.horizon_steps) if resolved.rungs else None
    return Evidence(
        trials=confirmed.view.counts,
        arms=arms,
        finalist=judged.finalist,
        difference=judged.difference,
        detectable_gain=judged.detectable_gain,
        min_gain=judged.min_gain,
        at_edge=_at_edge(confirmed),
        ladder=extras.ladder,
        steps_saved=extras.steps_saved,
        test=next((score.metrics for score in extras.test if score.arm == confirmed.chosen), {}),
        test_scores=extras.test,
        optimum=optimum_of(confirmed),
        false_prune_rate=pruning.false_prune_rate if pruning else None,
        pruning=pruning,
        notes=[*confirmed.plan.notes, *untuned, *judged.notes, *_missed(confirmed), *extras.notes],
    )


def _missed(confirmed: Confirmed) -> list[str]:
    """Say which arms did not get to the target on some seed."""
    target, seeds = confirmed.search.resolved.target, len(confirmed.plan.seeds)
    if target is None:
        return []
    counts_as = {"baseline": f", which counts as {target.horizon_steps} steps", "candidate": ""}
    return [
        f"{name} did not get to {target.words} within {target.horizon_steps} steps on {count} of {seeds} seeds"
        f"{counts_as[confirmed.arms[name].role]}"
        for name, count in missed_seeds(confirmed.plan, confirmed.past).items()
    ]


def _at_edge(confirmed: Confirmed) -> list[str]:
    if confirmed.judged.finalist is None:
        return []
    space = confirmed.search.space
    params = space.params_of(confirmed.arms[confirmed.judged.finalist].candidate)
    # Where the steps to a target end is no choice of the search.
    return [] if params is None else [name for name in space.at_edge(params) if name != HORIZON_FRACTION]
