"""A study's report: everything that the page shows, read from the store and drawn."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from search_spaces.candidate import Candidate
from search_spaces.describe import describe, describe_schedule
from search_spaces.export import Framework, export
from search_spaces.insight import Insight
from search_spaces.problems import Problem
from search_spaces.results import STATUS_OF, Answer, Arm, LadderRung, StudyView, TrialView
from search_spaces.schedules import Plateau
from search_spaces.study import Direction, confirmation_name
from search_spaces.target import reported_direction
from search_spaces.work import Report as MetricReport
from store import Store
from store.drawn import curves_of, searched
from store.proposals import Past
from store.states import ENDED_TRIAL, OPEN_TRIAL
from store.trials import list_trials

from ..curves import Floats, followed_curve, lr_curve
from ..ladder import in_words
from ..looking import ENDED_STUDY
from ..sentences import rung_names
from ..targets import bracket
from .arm_figures import arms_figure, gains_figure
from .curve_figures import Bundle, Line, learning_figure, lr_figure
from .figures import Figure
from .search_figures import Dot, sensitivity_figure

FRAMEWORKS: tuple[Framework, ...] = ("pytorch", "lightning", "transformers", "optax", "keras")
MOST_CONFIRMED = 500
"""Trainings of a confirmation that are drawn; a default one has 45."""
BEST_DRAWN, LATEST_DRAWN = 100, 300
"""Trials of the search that are drawn."""


@dataclass(frozen=True)
class CodeText:
    """The answer in one framework."""

    framework: str
    text: str


@dataclass(frozen=True)
class OpenTrial:
    """A trial in training."""

    number: int
    purpose: str
    words: str
    step: int
    """The last that was reported."""
    horizon: int | None
    """Its own."""


@dataclass(frozen=True)
class PrunedAt:
    """How many trials a rung has stopped."""

    rung: int
    count: int


@dataclass(frozen=True)
class ArmRow:
    """One line of the confirmation's table."""

    arm: Arm
    words: str
    place: int
    chosen: bool


@dataclass(frozen=True)
class LadderRow:
    """One rung of the gain ladder."""

    rung: LadderRung
    title: str
    words: str


@dataclass(frozen=True)
class StudyReport:
    """What the page of one study shows."""

    view: StudyView
    answer: Answer
    sentences: list[str]
    """The first says the verdict."""
    optimizer_words: str
    schedule_words: str
    arms: list[ArmRow]
    figures: list[Figure]
    """Of the answer."""
    confirmation_figures: list[Figure]
    search_figures: list[Figure]
    code: list[CodeText]
    training: list[OpenTrial]
    pruned: list[PrunedAt]
    insight: Insight | None
    """What the search has taught, once nothing can change."""

    @property
    def live(self) -> bool:
        """Whether anything can still change."""
        return self.view.state not in ENDED_STUDY

    @property
    def shares(self) -> list[tuple[str, int]]:
        """Trials of the search by state, those that have ended first; states without one are left out."""
        counts = [(state, int(getattr(self.view.counts, state))) for state in (*ENDED_TRIAL, *reversed(OPEN_TRIAL))]
        return [(state, count) for state, count in counts if count]

    @property
    def ladder(self) -> list[LadderRow]:
        """The gain ladder's rungs in words."""
        rungs = self.answer.evidence.ladder or []
        return [
            LadderRow(rung, name, describe(rung.candidate)) for name, rung in zip(rung_names(rungs), rungs, strict=True)
        ]

    @property
    def ladder_begins(self) -> str:
        """What the ladder's gains are over, all together."""
        rungs = self.answer.evidence.ladder
        return in_words(rungs[0].against) if rungs else ""

    @property
    def reference(self) -> str:
        """Whose quality the saved steps reach."""
        saved = self.answer.evidence.steps_saved
        return in_words(saved.reference) if saved is not None and saved.reference is not None else "the reference"

    @property
    def status(self) -> str:
        """The answer's status, by the study's state now."""
        return STATUS_OF[self.view.state]

    @property
    def confirmation_size(self) -> int:
        """Trainings of the confirmation that are known of."""
        counts = self.view.confirmation
        return counts.ended + counts.proposed + counts.leased


def report_of(store: Store, view: StudyView, answer: Answer, insight: Insight | None = None) -> StudyReport:
    """Read and draw what there is of a study; `answer` may be an interim one."""
    direction: Direction = "maximize" if view.direction == "maximize" else "minimize"
    metric = view.metric or "metric"
    reported = reported_direction(view.target, view.direction)
    confirmed = _confirmed(store, view)
    past = searched(store, view.name, direction=direction, best=BEST_DRAWN, latest=LATEST_DRAWN)
    arms = _arms(answer, confirmed)
    places = _places(answer, arms)
    curves = _curves_by_arm(store, view, confirmed)
    sensitivity = sensitivity_figure(_dots(past), metric, maximize=direction == "maximize")
    return StudyReport(
        view=view,
        answer=answer,
        sentences=_sentences(answer),
        optimizer_words=_optimizer(answer.candidate),
        schedule_words="" if answer.candidate is None else describe_schedule(answer.candidate.schedule),
        arms=_rows(answer, arms, places),
        figures=_figures(arms, places, curves, answer, metric if view.target is None else view.target.metric, reported),
        confirmation_figures=_evidence_figures(answer, places, metric, direction),
        search_figures=[] if sensitivity is None else [sensitivity],
        code=_code(answer, reported),
        training=_open_trials(past, confirmed, view.horizon_steps),
        pruned=_pruned(past) if insight is None else _pruned_in(insight),
        insight=insight,
    )


def _sentences(answer: Answer) -> list[str]:
    return [sentence.text for sentence in answer.sentences] or [answer.sentence]


def _optimizer(candidate: Candidate | None) -> str:
    if candidate is None:
        return ""
    words = ", ".join(candidate.optimizer.words())
    return f"{candidate.optimizer.title} ({words})" if words else candidate.optimizer.title


# The confirmation


def _confirmed(store: Store, view: StudyView) -> list[TrialView]:
    """Read the confirmation's trainings, and the tuning of baselines for it; none where it has not begun."""
    if view.confirmation.ended + view.confirmation.leased == 0:
        return []
    pages = [list_trials(store, view.name, purpose=kind, limit=MOST_CONFIRMED) for kind in ("confirmation", "tuning")]
    return [trial for page in pages for trial in page.items]


def _arms(answer: Answer, confirmed: Sequence[TrialView]) -> list[Arm]:
    """Return the answer's arms; before there is one, those that are in training."""
    if answer.evidence.arms:
        return answer.evidence.arms
    found: dict[str, Arm] = {}
    for trial in confirmed:
        kind, _, name = trial.origin.partition(":")
        if kind == "confirmation" and trial.candidate is not None and name not in found:
            role = "candidate" if name.startswith("candidate-") else "baseline"
            found[name] = Arm.model_validate({"name": name, "role": role, "candidate": trial.candidate})
    return list(found.values())


def _places(answer: Answer, arms: Sequence[Arm]) -> dict[str, int]:
    """Give each arm its colour on the page: what the answer names first, then what it is compared with."""
    against = answer.evidence.difference.against if answer.evidence.difference else None
    order = sorted(arms, key=lambda arm: (not _is_chosen(answer, arm), arm.name != against, arm.role != "baseline"))
    return {arm.name: place for place, arm in enumerate(order)}


def _is_chosen(answer: Answer, arm: Arm) -> bool:
    return answer.candidate is not None and arm.candidate == answer.candidate


def _rows(answer: Answer, arms: Sequence[Arm], places: Mapping[str, int]) -> list[ArmRow]:
    rows = [ArmRow(arm, describe(arm.candidate), places[arm.name], _is_chosen(answer, arm)) for arm in arms]
    return sorted(rows, key=lambda row: row.place) if answer.evidence.arms else []


def _curves_by_arm(
    store: Store, view: StudyView, confirmed: Sequence[TrialView]
) -> dict[str, list[tuple[TrialView, list[MetricReport]]]]:
    numbers = [trial.number for trial in confirmed if trial.origin.startswith("confirmation:")]
    reports = curves_of(store, confirmation_name(view.name), numbers)
    # With a target an arm has several horizons on each seed: the first is the same for all.
    horizon = view.horizon_steps if view.target is None else bracket(view.target, {}).wanted
    found: dict[str, list[tuple[TrialView, list[MetricReport]]]] = {}
    for trial in confirmed:
        kind, _, name = trial.origin.partition(":")
        if kind == "confirmation" and trial.horizon_steps in (None, horizon):
            found.setdefault(name, []).append((trial, reports.get(trial.number, [])))
    return found


def _figures(
    arms: Sequence[Arm],
    places: Mapping[str, int],
    curves: Mapping[str, list[tuple[TrialView, list[MetricReport]]]],
    answer: Answer,
    metric: str,
    direction: Direction,
) -> list[Figure]:
    lines = [
        Line(arm.name, places[arm.name], lr)
        for arm in arms
        if (lr := _lr_of(arm.candidate, _horizon_of(answer, arm), curves.get(arm.name, []), direction)) is not None
    ]
    if not lines and answer.candidate is not None:
        lr = _lr_of(answer.candidate, answer.horizon, [], direction)
        lines = [] if lr is None else [Line("best so far, not confirmed", 0, lr)]
    bundles = [Bundle(name, places[name], [reports for _, reports in curves.get(name, [])]) for name in places]
    drawn = [
        lr_figure(sorted(lines, key=lambda line: line.place)) if lines else None,
        learning_figure(bundles, metric, None if answer.target is None else bracket(answer.target, {}).wanted),
    ]
    return [figure for figure in drawn if figure is not None]


def _horizon_of(answer: Answer, arm: Arm) -> int | None:
    """Return the steps over which an arm is drawn: with a target those in which it gets there."""
    if answer.target is None or arm.mean is None:
        return answer.horizon if answer.target is None else answer.target.horizon_steps
    return math.ceil(arm.mean - 1e-9)


def _evidence_figures(answer: Answer, places: Mapping[str, int], metric: str, direction: Direction) -> list[Figure]:
    drawn = [
        arms_figure(answer.evidence.arms, places, metric),
        gains_figure(answer.evidence, places, metric if answer.target is None else "steps", direction),
    ]
    return [figure for figure in drawn if figure is not None]


def _lr_of(
    candidate: Candidate,
    horizon: int | None,
    trained: Sequence[tuple[TrialView, list[MetricReport]]],
    direction: Direction,
) -> Floats | None:
    """Return an arm's LR at every step; of a plateau that of its first whole training; None where it has no curve."""
    if horizon is None:
        return None
    if isinstance(candidate.schedule, Plateau):
        whole = [reports for trial, reports in trained if trial.state == "complete"]
        by_step = {report.step: report.value for report in (whole or [[]])[0] if report.kind == "raw"}
        return followed_curve(candidate.schedule, candidate.initial_lr, horizon, by_step, direction)
    try:
        return lr_curve(candidate.schedule, candidate.initial_lr, horizon)
    except Problem:  # a script sets its LR by itself
        return None


# The answer's code


def _code(answer: Answer, direction: Direction) -> list[CodeText]:
    if answer.candidate is None or answer.horizon is None:
        return []
    return [
        CodeText(framework, text)
        for framework in FRAMEWORKS
        if (text := _text(answer.candidate, answer.horizon, framework, direction)) is not None
    ]


def _text(candidate: Candidate, horizon: int, framework: Framework, direction: Direction) -> str | None:
    try:
        return export(candidate, horizon, framework, direction=direction)
    except Problem:  # what the framework lacks
        return None


# The search


def _dots(past: Sequence[Past]) -> list[Dot]:
    """Return the score of every trial that has one: its value, else that at its last rung."""
    dots = []
    for trial in past:
        score = trial.value if trial.state == "complete" else next(reversed(trial.rungs.values()), None)
        if trial.candidate is not None and score is not None:
            title = trial.candidate.optimizer.title
            dots.append(Dot(trial.candidate.initial_lr, score, title, trial.state == "complete"))
    return dots


def _open_trials(past: Sequence[Past], confirmed: Sequence[TrialView], horizon: int | None) -> list[OpenTrial]:
    searching = [
        OpenTrial(
            trial.number,
            "search",
            describe(trial.candidate),
            max(trial.rungs, default=trial.steps_done),
            trial.horizon_steps or horizon,
        )
        for trial in past
        if trial.state == "leased" and trial.candidate is not None and trial.number is not None
    ]
    confirming = [
        OpenTrial(
            trial.number, trial.purpose, describe(trial.candidate), trial.steps_done, trial.horizon_steps or horizon
        )
        for trial in confirmed
        if trial.state == "leased" and trial.candidate is not None
    ]
    return [*searching, *confirming]


def _pruned(past: Sequence[Past]) -> list[PrunedAt]:
    """Count the pruned trials by the last rung that they reached, of the trials that are drawn."""
    rungs = Counter(max(trial.rungs, default=trial.steps_done) for trial in past if trial.state == "pruned")
    return [PrunedAt(rung, rungs[rung]) for rung in sorted(rungs)]


def _pruned_in(insight: Insight) -> list[PrunedAt]:
    return [PrunedAt(at.rung, at.pruned) for at in insight.pruned if at.pruned]
