"""What the service answers: studies, trials, workers and the answer itself, as models shared with the client."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from .candidate import Candidate
from .model import Message, Number
from .study import StudySpec
from .work import Announcement, Arithmetic, Purpose, Report

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
    direction: str | None = None
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
    """`sampler`, `imported`, `baseline:<name>`, `current`, `confirmation:<arm>` or `foreign`."""
    candidate: Candidate | None = None
    params: dict[str, Any] = {}
    value: Number | None = None
    metrics: dict[str, Number] = {}
    rungs: dict[int, Number] = {}
    steps_done: int = 0
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
    gain: Number
    interval: tuple[Number, Number]
    """95 %."""
    p_value: Number
    n: int


class Evidence(Message):
    """Why the answer is to be believed."""

    trials: Counts = Counts()
    arms: list[Arm] = []
    finalist: str | None = None
    """Name of the arm that the search put forward and the confirmation liked best."""
    difference: Difference | None = None
    detectable_gain: float | None = None
    """The smallest gain that this confirmation could have detected."""
    at_edge: list[str] = []
    """Parameters of the finalist that sit at the edge of their range."""
    test: dict[str, Number] = {}
    """The test split's scores of the chosen candidate, mean over the confirmation's seeds."""
    false_prune_rate: float | None = None
    notes: list[str] = []


class Compute(Message):
    """Worker-seconds spent."""

    search: float = Field(default=0.0)
    confirmation: float = Field(default=0.0)


class Answer(Message):
    """`GET /v1/studies/{name}/best`: the answer, or as much of it as there is."""

    schema_version: int = 1
    study: str
    status: AnswerStatus
    verdict: Verdict | None = None
    sentence: str
    candidate: Candidate | None = None
    candidate_text: str | None = None
    horizon: int | None = None
    """T, in steps."""
    metric: MetricName | None = None
    task: AnsweredTask | None = None
    seeds: list[int] = []
    evidence: Evidence = Evidence()
    compute: Compute = Compute()
    links: dict[str, str] = {}
