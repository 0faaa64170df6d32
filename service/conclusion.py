"""The answer of a confirmed study, computed once."""

from __future__ import annotations

from collections.abc import Sequence

from search_spaces.describe import describe
from search_spaces.results import Answer, Evidence, MetricName, ScoreOnTest, StudyView
from store.proposals import Past

from .answer import links_of, task_of
from .confirmation import Plan, arms_of
from .confirmed import Confirmed
from .search import Search
from .sentences import joined, sentences_of
from .verdict import judge, with_statistics

TEST_PREFIX = "test_"
"""Metrics of the test split; only the chosen candidate's are shown."""


def conclude_study(search: Search, view: StudyView, plan: Plan, past: Sequence[Past]) -> Answer:
    """Compute the answer from every trial of the study, all of them ended."""
    arms = [with_statistics(arm) for arm in arms_of(plan, past)]
    judged = judge(arms, search.resolved.direction)
    return _answer(Confirmed(search, view, plan, past, {arm.name: arm for arm in arms}, judged))


def _answer(confirmed: Confirmed) -> Answer:
    resolved = confirmed.search.resolved
    candidate = confirmed.arms[confirmed.chosen].candidate if confirmed.chosen else None
    evidence = _evidence(confirmed)
    sentences = sentences_of(confirmed, evidence)
    return Answer(
        study=confirmed.view.name,
        status="final",
        verdict=confirmed.judged.verdict,
        sentence=joined(sentences),
        sentences=sentences,
        candidate=candidate,
        candidate_text=None if candidate is None else describe(candidate),
        horizon=resolved.horizon_steps,
        metric=MetricName(name=resolved.metric, direction=resolved.direction),
        task=task_of(confirmed.view, resolved.task_version),
        seeds=confirmed.plan.seeds,
        evidence=evidence,
        compute=confirmed.compute,
        links=links_of(confirmed.view.name),
    )


def _evidence(confirmed: Confirmed) -> Evidence:
    arms, judged = list(confirmed.arms.values()), confirmed.judged
    untuned = [f"{arm.name}: not tuned" for arm in arms if not arm.tuned]
    return Evidence(
        trials=confirmed.view.counts,
        arms=arms,
        finalist=judged.finalist,
        difference=judged.difference,
        detectable_gain=judged.detectable_gain,
        at_edge=_at_edge(confirmed),
        test=_test_scores(confirmed),
        notes=[*confirmed.plan.notes, *untuned, *judged.notes],
    )


def _at_edge(confirmed: Confirmed) -> list[str]:
    if confirmed.judged.finalist is None:
        return []
    space = confirmed.search.space
    params = space.params_of(confirmed.arms[confirmed.judged.finalist].candidate)
    return [] if params is None else space.at_edge(params)


def _test_scores(confirmed: Confirmed) -> list[ScoreOnTest]:
    """Return the test metrics of the chosen arm and of the best baseline, on the confirmation's first seed."""
    arms = dict.fromkeys(name for name in (confirmed.chosen, confirmed.judged.best_baseline) if name is not None)
    metrics = {(trial.origin, trial.seed): trial.metrics for trial in confirmed.past if trial.state == "complete"}
    scores = []
    for arm in arms:
        for seed in confirmed.plan.seeds[:1]:
            known = metrics.get((f"confirmation:{arm}", seed), {})
            shown = {name: value for name, value in known.items() if name.startswith(TEST_PREFIX)}
            scores += [ScoreOnTest(arm=arm, seed=seed, metrics=shown)] if shown else []
    return scores
