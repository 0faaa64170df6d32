"""What the service answers: studies, trials, workers and the answer itself, as models shared with the client."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from .candidate import Candidate
from .insight import PruningEffect
from .model import Message, Number
from .study import StudySpec
from .target import Target
from .work import Announcement, Arithmetic, Machine, Purpose, Report

StudyState = Literal["queued", "running", "paused", "confirming", "confirming_paused", "done", "stopped", "failed"]
TrialState = Literal["proposed", "leased", "complete", "pruned", "failed", "stopped"]
Verdict = Literal["winner", "no_winner", "undecided"]
AnswerStatus = Literal["searching", "confirming", "final", "stopped"]

STATUS_OF: dict[str, AnswerStatus] = {
    "queued": "searching", "running": "searching", "paused": "searching",
    "confirming": "confirming", "confirming_paused": "confirming",
    "done": "final", "stopped": "stopped", "failed": "stopped",
}  # fmt: skip
"""The answer's status by the study's state."""


class Counts(Message):
    """Search trials by state; `foreign` are those that stock Optuna added."""

    proposed: int = 0
    leased: int = 0
    complete: int = 0
    pruned: int = 0
    failed: int = 0
    stopped: int = 0
    foreign: int = 0

    @property
    def ended(self) -> int:
        """Trials of Étude's own that will not change any more."""
        return self.complete + self.pruned + self.failed + self.stopped


class BudgetUse(Message):
    """What the search may spend and has spent."""

    trials: int
    worker_seconds: float | None = None
    deadline: datetime | None = None
    used_trials: int
    used_worker_seconds: float


class BestTrial(Message):
    """The best search score so far: optimistic, and never the answer."""

    trial: int
    value: Number


class StudyView(Message):
    """A study as `GET /v1/studies/{name}` shows it."""

    name: str
    state: StudyState
    reason: str | None = None
    """Why it was stopped or has failed; while nothing of it is trained, what it waits for."""
    spec: StudySpec
    horizon_steps: int | None = None
    metric: str | None = None
    """What trials are compared by; with a target the steps to it."""
    direction: str | None = None
    target: Target | None = None
    """What is to be reached in the fewest steps, with the metric that is reported; null without a target."""
    arithmetic: Arithmetic | None = None
    """What the task computes in, once the study runs."""
    space: dict[str, Any] | None = None
    """The resolved space, once the study runs."""
    budget: BudgetUse
    counts: Counts
    confirmation: Counts = Counts()
    """Trials of the confirmation by state."""
    best: BestTrial | None = None
    created_at: datetime
    updated_at: datetime
    links: dict[str, str] = {}


class TrialView(Message):
    """A trial as the trial routes show it; curves only where one trial is asked for."""

    study: str
    number: int
    state: TrialState
    purpose: Purpose
    origin: str
    """`sampler`, `imported`, `baseline:<name>`, `current`, `confirmation:<arm>`, `ladder:<rung>`, `savings:<part>`,
    `test:<arm>` or `foreign`."""
    candidate: Candidate | None = None
    params: dict[str, Any] = {}
    value: Number | None = None
    metrics: dict[str, Number] = {}
    rungs: dict[int, Number] = {}
    steps_done: int = 0
    extra_steps: int = 0
    """Updates made beside its own training: on branches at rungs, and with shorter schedules."""
    horizon_steps: int | None = None
    seed: int | None = None
    worker: str | None = None
    attempts: int = 0
    resume_step: int = 0
    """Where the next attempt would go on: the last step reported when the latest checkpoint was stored."""
    resumed_step: int | None = None
    """Where the latest attempt began, as its worker said; 0 after an attempt that died: it began again."""
    error: str | None = None
    worker_seconds: float = 0.0
    claimed_at: datetime | None = None
    finished_at: datetime | None = None
    curve: list[Report] | None = None
    """Every report, by step."""
    lr: list[float] | None = None
    """The LR of every update."""


class WorkerView(Announcement):
    """A worker as `GET /v1/workers` shows it."""

    worker: str
    last_heartbeat: datetime
    live: bool
    leased: int = 0


class Page(Message):
    """One page of a list."""

    items: list[Any]
    next_cursor: str | None = None


class MetricName(Message):
    """The decision metric."""

    name: str
    direction: Literal["minimize", "maximize"]


class AnsweredTask(Message):
    """The task that the answer holds for."""

    name: str
    params: dict[str, Any] = {}
    version: str


class Arm(Message):
    """One candidate or baseline of the confirmation, over the same fresh seeds as the others."""

    name: str
    """`candidate-1`, ... or the baseline's name."""
    role: Literal["candidate", "baseline"]
    candidate: Candidate
    tuned: bool = True
    """false: a baseline whose LR no trial of the search has tuned."""
    values: dict[int, Number] = {}
    """Metric at the horizon by seed; a diverged training is nan."""
    n: int = 0
    mean: Number | None = None
    standard_deviation: Number | None = None
    interval: tuple[Number, Number] | None = None
    """95 % interval of the mean."""


class Difference(Message):
    """The gain of the finalist over the best baseline, positive when better, paired by seed."""

    against: str
    """The baseline over which the finalist's mean gain was the least."""
    gain: Number
    """In the metric's unit."""
    interval: tuple[Number, Number]
    """95 % for the gain over whichever baseline is the best in truth, the choice of the finalist allowed for."""
    p_value: Number
    """The chance of an interval so far above 0 where no candidate is better; a winner's is below `level`."""
    n: int
    """Seeds that gave a value to both."""
    confidence: float = 0.95
    level: float = 0.025
    """The part of the missing 5 % that lies at the lower end: the chance of a false winner."""
    method: str = "paired t"
    method_version: int = 1


class LadderRung(Message):
    """One part of the gain: from the rung before, or from where the ladder begins, to this candidate."""

    name: Literal["lr", "schedule", "optimizer"]
    """What is tuned from here on beside what the rungs before have: the top of the ladder is the winner."""
    origin: str
    """Where the confirmation's list holds its trainings: the arm's name, or `ladder:lr`, `ladder:schedule`."""
    candidate: Candidate
    against: str
    """`origin` of the rung before; of the first, the name of the arm that the ladder begins at."""
    gain: Number
    """Over the rung before, in the metric's unit, positive when better; the rungs' gains add up to the winner's."""
    interval: tuple[Number, Number]
    """95 %, paired by seed."""
    n: int
    """Seeds: those of the confirmation."""
    distinguishable: bool
    """Whether the interval lies on one side of 0."""


class StepsSaved(Message):
    """How many fewer updates reach the quality of the reference at the whole horizon."""

    confirmed: bool
    """Whether a saving is claimed: trained at the shorter horizon, the winner was shown to be no worse."""
    steps: int = 0
    """Updates saved; 0 where none is claimed."""
    share: float = 0.0
    """`steps` over the horizon."""
    horizon_steps: int | None = None
    """The shorter horizon at which the winner was tested last; null where none was."""
    reference: str | None = None
    """Name of the arm, or origin of the rung, whose quality at the whole horizon is to be reached."""
    gain: Number | None = None
    """Of the winner at the shorter horizon over the reference at the whole one, positive when better."""
    bound: Number | None = None
    """The least gain that the test does not rule out; the winner is no worse where it is above -`margin`."""
    margin: Number | None = None
    """Half a standard deviation of the seed noise, in the metric's unit."""
    n: int = 0
    """Seeds of the test."""
    method: str = ""
    """How it was found, in words."""
    reason: str | None = None
    """Why no saving is claimed."""


class ScoreOnTest(Message):
    """One evaluation on the test split, made after the verdict."""

    arm: str
    """Name of the arm of the confirmation."""
    seed: int
    metrics: dict[str, Number]
    """By full name, such as `test_accuracy`."""


class Optimum(Message):
    """Where the task knows the least expected value of the decision metric: how far the answer is from it."""

    value: Number
    """The best value to expect at this horizon."""
    distance: Number
    """The answer's mean over the confirmation's seeds, worse by so much; below 0 where it is better."""
    share: Number | None = None
    """`distance` over the optimum's size."""


class Evidence(Message):
    """Why the answer is to be believed."""

    trials: Counts = Counts()
    arms: list[Arm] = []
    finalist: str | None = None
    """Name of the arm that the search put forward and the confirmation liked best."""
    difference: Difference | None = None
    detectable_gain: float | None = None
    """The gain over the best baseline that this confirmation, with the noise it found, detects with 80 % power."""
    min_gain: float | None = None
    """The smallest gain worth a change: an interval wholly below it is `no_winner`; by default `detectable_gain`."""
    at_edge: list[str] = []
    """Parameters of the finalist that sit at the edge of their range."""
    ladder: list[LadderRung] | None = None
    """What each part of the winner gains; null without a winner, and where `confirmation.extras` is false."""
    steps_saved: StepsSaved | None = None
    """null without a winner, where `confirmation.extras` is false, and with a target: all values are steps then."""
    test: dict[str, Number] = {}
    """The test split's scores of the chosen candidate, by full name; empty without a test split."""
    test_scores: list[ScoreOnTest] = []
    """Of the chosen candidate, then of the best baseline where that is another."""
    optimum: Optimum | None = None
    """Only of tasks that know it."""
    false_prune_rate: float | None = None
    """That of `pruning`."""
    pruning: PruningEffect | None = None
    """What pruning saved and what it cost; null where nothing is pruned, and in answers of an older service."""
    notes: list[str] = []


Topic = Literal[
    "standing", "advice", "candidate", "difference", "steps_saved", "ladder", "optimum", "horizon", "untested", "cost"
]  # fmt: skip


class Sentence(Message):
    """One thing that an answer says first."""

    topic: Topic
    text: str


class Compute(Message):
    """Worker-seconds spent."""

    search: float = Field(default=0.0)
    confirmation: float = Field(default=0.0)
    """With the tuning of baselines that it needed."""
    extras: float = Field(default=0.0)
    """After the verdict: ladder, steps saved, and the evaluation on the test split."""


class TrainedOn(Machine):
    """A kind of machine, and how much of a study it trained."""

    devices: list[str] = []
    trainings: int = 0
    """Complete trials of the search and of what followed it."""


class Provenance(Message):
    """What an answer was made from and with."""

    spec: StudySpec
    """The study as submitted; its seed is that of the search."""
    versions: dict[str, str] = {}
    """Of the service that computed the answer: etude, optuna, python."""
    machines: list[TrainedOn] = []
    """What the workers that trained it said of themselves; empty before the end."""


class Answer(Message):
    """`GET /v1/studies/{name}/best`: the answer, or as much of it as there is."""

    schema_version: int = 1
    study: str
    status: AnswerStatus
    verdict: Verdict | None = None
    sentence: str
    """What a person reads first, in one string."""
    sentences: list[Sentence] = []
    """The same and more, one sentence a topic, in the order in which they are read."""
    candidate: Candidate | None = None
    candidate_text: str | None = None
    horizon: int | None = None
    """T, in steps; with a target the steps in which the candidate gets there."""
    metric: MetricName | None = None
    """With a target the steps to it: then values, gains and intervals are in steps."""
    target: Target | None = None
    """What is to be reached in the fewest steps, and T within which; null without a target."""
    task: AnsweredTask | None = None
    seeds: list[int] = []
    evidence: Evidence = Evidence()
    compute: Compute = Compute()
    provenance: Provenance | None = None
    """null in answers of an older service."""
    links: dict[str, str] = {}
