"""The answer of a confirmed study, computed once, and the sentence that a person reads first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from search_spaces.describe import describe
from search_spaces.results import Answer, Arm, Compute, Difference, Evidence, MetricName, ScoreOnTest, StudyView
from search_spaces.study import Direction
from store.proposals import Past

from .answer import links_of, task_of
from .confirmation import Plan, arms_of, worker_seconds
from .search import Search
from .verdict import Judgement, judge, with_statistics

TEST_PREFIX = "test_"
"""Metrics of the test split; only the chosen candidate's are shown."""


NOTHING_CONFIRMED = "Nothing could be confirmed: every training of the confirmation failed."


@dataclass(frozen=True)
class Confirmed:
    """Everything that an answer is computed from, once the whole study has ended."""

    search: Search
    view: StudyView
    plan: Plan
    past: Sequence[Past]
    arms: Mapping[str, Arm]
    """By name, with their statistics."""
    judged: Judgement

    @property
    def chosen(self) -> str | None:
        """The arm that the answer names: the finalist, unless the best baseline did no worse or there is none."""
        judged = self.judged
        if judged.finalist is None or (judged.best_baseline is not None and not is_ahead(judged)):
            return judged.best_baseline
        return judged.finalist

    @property
    def compute(self) -> Compute:
        """What the study has cost."""
        return Compute(
            search=worker_seconds(self.past, "search"),
            confirmation=worker_seconds(self.past, "tuning", "confirmation"),
        )


def is_ahead(judged: Judgement) -> bool:
    """Tell whether the finalist did better than the best baseline on the fresh seeds, shown or not."""
    return judged.difference is None or judged.difference.gain > 0


def conclude_study(search: Search, view: StudyView, plan: Plan, past: Sequence[Past]) -> Answer:
    """Compute the answer from every trial of the study, all of them ended."""
    arms = [with_statistics(arm) for arm in arms_of(plan, past)]
    judged = judge(arms, search.resolved.direction)
    return _answer(Confirmed(search, view, plan, past, {arm.name: arm for arm in arms}, judged))


def _answer(confirmed: Confirmed) -> Answer:
    resolved = confirmed.search.resolved
    candidate = confirmed.arms[confirmed.chosen].candidate if confirmed.chosen else None
    return Answer(
        study=confirmed.view.name,
        status="final",
        verdict=confirmed.judged.verdict,
        sentence=_sentence(confirmed),
        candidate=candidate,
        candidate_text=None if candidate is None else describe(candidate),
        horizon=resolved.horizon_steps,
        metric=MetricName(name=resolved.metric, direction=resolved.direction),
        task=task_of(confirmed.view, resolved.task_version),
        seeds=confirmed.plan.seeds,
        evidence=_evidence(confirmed),
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


# The sentence


def _sentence(confirmed: Confirmed) -> str:
    resolved, compute = confirmed.search.resolved, confirmed.compute
    advice = _advice(confirmed.arms, confirmed.judged)
    shown = _shown(confirmed.judged, resolved.metric, resolved.direction)
    where = f"This holds for the task {confirmed.view.spec.task.name} at {resolved.horizon_steps} steps"
    search, confirmation = _seconds(compute.search), _seconds(compute.confirmation)
    return f"{advice}{shown} {where}; the search took {search} and the confirmation {confirmation} of worker time."


def _advice(arms: Mapping[str, Arm], judged: Judgement) -> str:
    """Say first what to do: change or keep."""
    finalist = describe(arms[judged.finalist].candidate) if judged.finalist else None
    against = judged.best_baseline
    kept = f"Keep {against}: {describe(arms[against].candidate)}" if against else ""
    if finalist is None:
        return f"{kept}; the search put nothing better forward." if against else NOTHING_CONFIRMED
    if against is None:
        return f"{finalist} was confirmed, but there was no baseline to compare it with."
    if judged.verdict == "winner":
        return f"Change to {finalist}."
    if judged.verdict == "undecided" and is_ahead(judged):
        return f"Change only if it costs nothing: {finalist} was not shown to be better than {against}."
    return f"{kept}; the search's finalist, {finalist}, did not do better."


def _shown(judged: Judgement, metric: str, direction: Direction) -> str:
    difference = judged.difference
    if difference is None or judged.finalist is None:
        return "".join(f" {note[:1].upper()}{note[1:]}." for note in judged.notes)
    subject = "Its" if judged.verdict == "winner" else "The finalist's"
    text = (
        f" {subject} {metric} is {_compared(difference, direction)} than that of "
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
