"""The answer of a confirmed study, computed once, and the sentence that a person reads first."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from search_spaces.describe import describe
from search_spaces.results import Answer, Arm, Compute, Difference, Evidence, MetricName, StudyView
from search_spaces.study import Direction
from store.proposals import Past

from .answer import links_of, task_of
from .confirmation import Plan, arms_of, worker_seconds
from .search import Search
from .verdict import Judgement, judge, with_statistics

TEST_PREFIX = "test_"
"""Metrics of the test split; only the chosen candidate's are shown."""


def conclude_study(search: Search, view: StudyView, plan: Plan, past: Sequence[Past]) -> Answer:
    """Compute the answer from every trial of the study, all of them ended."""
    arms = [with_statistics(arm) for arm in arms_of(plan, past)]
    return final_answer(search, view, plan, past, arms, judge(arms, search.resolved.direction))


def final_answer(
    search: Search, view: StudyView, plan: Plan, past: Sequence[Past], arms: Sequence[Arm], judged: Judgement
) -> Answer:
    """Compute the answer of a confirmed study; `arms` carry their statistics, `judged` is what they have shown."""
    by_name = {arm.name: arm for arm in arms}
    name = chosen_arm(judged)
    chosen = by_name.get(name) if name else None
    candidate = None if chosen is None else chosen.candidate
    compute = Compute(
        search=worker_seconds(past, "search"), confirmation=worker_seconds(past, "tuning", "confirmation")
    )
    return Answer(
        study=view.name,
        status="final",
        verdict=judged.verdict,
        sentence=_final_sentence(search, view, by_name, judged, compute),
        candidate=candidate,
        candidate_text=None if candidate is None else describe(candidate),
        horizon=search.resolved.horizon_steps,
        metric=MetricName(name=search.resolved.metric, direction=search.resolved.direction),
        task=task_of(view, search.resolved.task_version),
        seeds=plan.seeds,
        evidence=Evidence(
            trials=view.counts,
            arms=list(arms),
            finalist=judged.finalist,
            difference=judged.difference,
            detectable_gain=judged.detectable_gain,
            at_edge=_at_edge(search, judged, by_name),
            test=_test_scores(name, past),
            notes=[*plan.notes, *_untuned(arms), *judged.notes],
        ),
        compute=compute,
        links=links_of(view.name),
    )


def chosen_arm(judged: Judgement) -> str | None:
    """Return the arm that the answer names: the finalist, unless a baseline is better or there is none."""
    if judged.verdict == "no_winner" or judged.finalist is None:
        return judged.best_baseline
    return judged.finalist


def _at_edge(search: Search, judged: Judgement, arms: Mapping[str, Arm]) -> list[str]:
    if judged.finalist is None:
        return []
    params = search.space.params_of(arms[judged.finalist].candidate)
    return [] if params is None else search.space.at_edge(params)


def _test_scores(arm: str | None, past: Sequence[Past]) -> dict[str, float]:
    """Return the chosen arm's test metrics, mean over the confirmation's seeds."""
    trials = [
        trial
        for trial in past
        if trial.purpose == "confirmation" and trial.state == "complete" and trial.origin == f"confirmation:{arm}"
    ]
    names = sorted({name for trial in trials for name in trial.metrics if name.startswith(TEST_PREFIX)})
    scores = {name: [trial.metrics[name] for trial in trials if name in trial.metrics] for name in names}
    return {name: math.fsum(values) / len(values) for name, values in scores.items()}


def _untuned(arms: Sequence[Arm]) -> list[str]:
    return [f"{arm.name}: not tuned" for arm in arms if not arm.tuned]


# The sentence


def _final_sentence(
    search: Search, view: StudyView, arms: Mapping[str, Arm], judged: Judgement, compute: Compute
) -> str:
    advice = _advice(arms, judged)
    evidence = _evidence(search, judged)
    where = f"This holds for the task {view.spec.task.name} at {search.resolved.horizon_steps} steps"
    cost = (
        f"the search took {_seconds(compute.search)} and the confirmation {_seconds(compute.confirmation)} "
        "of worker time"
    )
    return f"{advice}{evidence} {where}; {cost}."


def _advice(arms: Mapping[str, Arm], judged: Judgement) -> str:
    finalist = arms[judged.finalist].candidate if judged.finalist else None
    against = judged.best_baseline
    if finalist is None:
        if against is None:
            return "Nothing could be confirmed: every training of the confirmation failed."
        return f"Keep {against}: {describe(arms[against].candidate)}; the search put nothing better forward."
    if against is None:
        return f"{describe(finalist)} was confirmed, but there was no baseline to compare it with."
    if judged.verdict == "winner":
        return f"Change to {describe(finalist)}."
    if judged.verdict == "no_winner":
        return f"Keep {against}: {describe(arms[against].candidate)}."
    return f"{describe(finalist)} was not shown to be better than {against}."


def _evidence(search: Search, judged: Judgement) -> str:
    difference = judged.difference
    if difference is None or judged.finalist is None:
        return "".join(f" {note[:1].upper()}{note[1:]}." for note in judged.notes)
    subject = "Its" if judged.verdict == "winner" else "The finalist's"
    text = (
        f" {subject} {search.resolved.metric} is {_compared(difference, search.resolved.direction)} than that of "
        f"{difference.against}, on {difference.n} fresh seeds."
    )
    if judged.verdict == "undecided" and judged.detectable_gain is not None:
        text += f" A gain below {judged.detectable_gain:.3g} would not have been seen."
    return text


def _compared(difference: Difference, direction: Direction) -> str:
    """Say the difference in the metric's unit: '0.031 lower (95 % interval: 0.012 to 0.05 lower)'."""
    better, worse = ("lower", "higher") if direction == "minimize" else ("higher", "lower")
    low, high = difference.interval
    size = f"{abs(difference.gain):.3g} {better if difference.gain >= 0 else worse}"
    if low >= 0:
        return f"{size} (95 % interval: {low:.3g} to {high:.3g} {better})"
    if high <= 0:
        return f"{size} (95 % interval: {-high:.3g} to {-low:.3g} {worse})"
    return f"{size} (95 % interval: {-low:.3g} {worse} to {high:.3g} {better})"


def _seconds(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
