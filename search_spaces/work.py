"""The five verbs between a worker and the store, as models: claim, renew, report, finish, release.

`store` implements them in SQL and the service serves the same models at `POST /v1/work/{verb}`; a worker holds
something that satisfies `Verbs` and does not know which. Each call is one short transaction over any number of
trials. All times are the database's, in RFC 3339 and UTC.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import Annotated, Any, Literal, Protocol

from pydantic import Field, model_validator

from .candidate import Candidate
from .model import JsonObject, Message, Number, ProblemValue, Seconds, Whole
from .problems import InvalidSpec

Purpose = Literal["search", "tuning", "confirmation"]
Directive = Literal["continue", "prune", "stop", "cooldown"]
Code = Literal["lease_lost"]
ReportKind = Literal["raw", "averaged", "cooldown", "rescaled"]
Fidelity = Literal["truncated", "averaged", "cooldown", "rescaled", "phase"]
"""What trials are compared by at a rung: `truncated`, the raw metric there; `averaged`, the better of the raw metric
and that of a running average of the weights, which imitates the end of a schedule; `cooldown`, the metric of a branch
whose LR is brought down to zero; `rescaled`, that of a whole training whose schedule ends at the rung; `phase`, the raw
metric there, among those trials only whose schedules have come about as far."""
BRANCHING: tuple[Fidelity, ...] = ("cooldown", "rescaled")
"""Those for which rungs are trained beside a trial's own training, by our workers alone."""
Precision = Literal["float32", "float64", "bf16"]
LONGEST_HORIZON = 10_000_000
"""Steps of the longest training: the service holds the LR of each of them."""
LARGEST_BODY_BYTES = 1024 * 1024
"""Of a request to the service, which reads no more."""
Bytes = Annotated[int, Field(ge=0, le=2**53)]
WorkerName = Annotated[str, Field(min_length=1, max_length=200)]


class TaskVersion(Message):
    """A task by name and version, as a worker offers it."""

    name: str
    version: str


class ClaimRequest(Message):
    """Ask for up to `count` trials of the offered tasks; a repeated `claim_id` gets the same answer."""

    worker: WorkerName
    claim_id: Annotated[str, Field(min_length=1, max_length=200)]
    tasks: list[TaskVersion]
    count: Annotated[int, Field(ge=1, le=1024)] = 1
    study: str | None = None


class ClaimedTask(Message):
    """What to train the candidate on."""

    name: str
    version: str
    params: dict[str, Any] = {}


class ClaimedTrial(Message):
    """One trial with the lease to run it."""

    study: str
    """Name of the Optuna study that holds the row: the study's own, or `{name}.confirmation`."""
    number: int
    lease: str
    """The fencing token that every later verb has to show."""
    lease_expires_at: datetime
    candidate: Candidate
    task: ClaimedTask
    horizon_steps: int
    """T, the optimizer updates of this training."""
    rungs: list[int]
    """Steps at which trials are compared; report at each of them."""
    fidelity: Fidelity = "truncated"
    """What rungs compare: a report there is wanted as `averaged` or `cooldown` too, or as `rescaled` before the trial's
    own training. From those that cannot the raw one stands in."""
    cooldown_steps: Whole = 0
    """Updates of the branch behind each rung, where `fidelity` is `cooldown`."""
    settled_rung: Whole = 0
    """The last rung that is decided: nothing is asked of it any more."""
    seed: int
    resume_step: int = 0
    """The last step that was reported when the checkpoint was stored."""
    checkpoint: str | None = None
    """Where an earlier attempt's state is saved, as its worker named it."""
    purpose: Purpose
    test: bool = False
    """Whether the trained model is to be evaluated on the test split: `metrics` of its finish hold the scores."""


class ClaimAnswer(Message):
    """What was claimed; empty when there is nothing to do."""

    items: list[ClaimedTrial]


class Held(Message):
    """A trial that the caller believes to hold."""

    study: str
    number: Whole
    lease: str


class Report(Message):
    """The decision metric after `step` updates."""

    step: Whole
    value: Number
    kind: ReportKind = "raw"


class ReportItem(Held):
    """New reports of one trial, oldest first."""

    reports: list[Report] = []
    checkpoint: str | None = None
    resumed_step: Whole | None = None
    """The step at which this attempt began: its checkpoint's, 0 where that could not be had."""
    worker_seconds: Seconds = 0.0
    """Seconds of the worker since the last verb of this trial, a pack's time shared by steps."""
    extra_steps: Whole = 0
    """Updates since the last verb beside the trial's own training: on branches, and with shorter schedules."""


class FinishItem(Held):
    """The end of one trial; reports not yet sent come with it."""

    state: Literal["complete", "failed"]
    value: Number | None = None
    """The decision metric at the horizon; required when complete."""
    steps_done: Whole = 0
    error: str | None = None
    """Why it failed: a reason in one word where there is one (`diverged`), else the traceback."""
    resumed_step: Whole | None = None
    """As in a report."""
    worker_seconds: Seconds = 0.0
    extra_steps: Whole = 0
    """As in a report."""
    reports: list[Report] = []
    metrics: dict[str, Number] = {}
    """Further metrics at the end, recorded and not optimised."""

    @model_validator(mode="after")
    def _complete_has_a_value(self) -> FinishItem:
        if self.state == "complete" and (self.value is None or not math.isfinite(self.value)):
            raise ProblemValue(InvalidSpec("a complete trial has a finite value", field="value"))
        return self


class ReleaseItem(Held):
    """A trial given back: no attempt is counted."""

    checkpoint: str | None = None
    resumed_step: Whole | None = None
    """As in a report."""
    worker_seconds: Seconds = 0.0
    extra_steps: Whole = 0
    """As in a report."""


class RenewRequest(Message):
    """Renew leases."""

    worker: WorkerName
    items: list[Held]


class ReportRequest(Message):
    """Report for any number of trials in one round trip; several items of one trial count as one."""

    worker: WorkerName
    items: list[ReportItem]
    deciding: bool = True
    """Whether the rungs that are reached decide; not where the training has ended and its finish follows."""


class FinishRequest(Message):
    """Finish any number of trials."""

    worker: WorkerName
    items: list[FinishItem]


class ReleaseRequest(Message):
    """Give any number of trials back."""

    worker: WorkerName
    items: list[ReleaseItem]


class ItemAnswer(Message):
    """What became of one item; `accepted: false` means that the trial is no longer the caller's."""

    study: str
    number: int
    accepted: bool
    code: Code | None = None
    directive: str | None = None
    """A `Directive`; one that the worker does not know means continue."""
    lease_expires_at: datetime | None = None


class VerbAnswer(Message):
    """One answer an item, in the order of the request."""

    items: list[ItemAnswer]


class Backlog(Message):
    """What studies still want, for who decides how many workers there are to be."""

    trials: Whole
    """Proposed, in training, and left of the budgets."""


class OfferedHorizon(Message):
    """The task's default horizon."""

    epochs: Annotated[int, Field(ge=1, le=LONGEST_HORIZON)]
    steps_per_epoch: Annotated[int, Field(ge=1, le=LONGEST_HORIZON)]

    @property
    def steps(self) -> int:
        """T of the default horizon, in optimizer updates."""
        return self.epochs * self.steps_per_epoch


class Packing(Message):
    """How many trials of a task the worker trains at once, and why no more."""

    size: Annotated[int, Field(ge=1)] = 1
    reason: str | None = None


class Arithmetic(Message):
    """What a task computes in: its declaration, never a worker's choice."""

    precision: Precision = "float32"
    """Of model and data; `bf16` is float32 under autocast to bfloat16."""
    channels_last: bool = False
    """Whether images are laid out channels last."""
    tf32: bool = False
    """Whether a GPU may round the factors of float32 products to TF32's 10 bits."""


Seeding = Literal["seeded", "repeats", "fixed"]
"""What a seed does to a script: it decides the training; it does not, and trainings differ; they are all alike."""


class OfferedScript(Message):
    """What a task that is a script leaves open to a search; a list or a mapping that is None leaves everything open."""

    mode: Literal["inject", "flags", "file"]
    """How a candidate reaches it: by its LR alone, by its flags, or as a file that it reads."""
    optimizers: dict[str, list[str]] | None = None
    """Kinds that it can train with, each with the parameters that can be set."""
    schedules: dict[str, list[str]] | None = None
    """Kinds of schedules that it can follow, each with the parameters that can be set."""
    warmup: list[str] | None = None
    """Parameters of a warm-up that can be set; empty: it makes none."""
    restarts: list[str] | None = None
    """The same of restarts."""
    initial_lr: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """The largest LR that it sets by itself, where that was seen."""
    lr_low: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Lower end of the initial LR's range, where the script's file gives one; in units of an LR."""
    lr_high: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Its upper end."""
    seeding: Seeding = "seeded"
    fixed_horizon: bool = True
    """Whether the length of its training is its own, so that a study cannot ask for another."""


class OfferedTask(Message):
    """A task that a worker can train, with what the service must know to accept a study of it."""

    name: str
    version: str
    metric: str
    direction: Literal["minimize", "maximize"]
    horizon: OfferedHorizon
    params_schema: JsonObject = {}
    sparse_gradients: bool = False
    parameter_groups: list[str] = []
    """Names that `lr_ratios` may use."""
    further_metrics: list[str] = []
    test_split: bool = True
    """Whether there is a test split to evaluate the answer on."""
    arithmetic: Arithmetic = Arithmetic()
    available: bool = True
    reason: str | None = None
    """Why it is not available."""
    packing: Packing = Packing()
    script: OfferedScript | None = None
    """Where the task is somebody's training script."""


class Machine(Message):
    """What a worker trains on, and with which software."""

    hardware: str = ""
    """A GPU's name, else the processor's with the instructions that are used."""
    platform: str = ""
    """Operating system and architecture."""
    versions: dict[str, str] = {}
    """Of python, etude and torch."""


class DeviceUsage(Message):
    """How much of one GPU is in use, by whichever process."""

    device: Annotated[str, Field(max_length=100)]
    memory_used_bytes: Bytes
    memory_total_bytes: Bytes
    utilization: Annotated[float, Field(ge=0.0, le=1.0)] | None = None
    """Share of the last moments in which it computed; None where the driver does not say."""


class Announcement(Message):
    """What a worker says of itself, at start and as its heartbeat."""

    devices: list[str] = ["cpu"]
    machine: Machine | None = None
    usage: Annotated[list[DeviceUsage], Field(max_length=64)] = []
    """Of those devices that are GPUs."""
    slots: Annotated[int, Field(ge=1, le=1024)] = 1
    tasks: list[OfferedTask] = []


class Verbs(Protocol):
    """The five verbs and the heartbeat; raises `StoreUnavailable` when trying again later makes sense."""

    def announce(self, worker: str, announcement: Announcement) -> None:
        """Store the worker's offer and its sign of life."""

    def claim(self, request: ClaimRequest) -> ClaimAnswer:
        """Lease proposed trials to the worker."""

    def renew(self, request: RenewRequest) -> VerbAnswer:
        """Prolong leases."""

    def report(self, request: ReportRequest) -> VerbAnswer:
        """Store reports, settle rungs, decide on pruning, prolong leases."""

    def finish(self, request: FinishRequest) -> VerbAnswer:
        """End trials."""

    def release(self, request: ReleaseRequest) -> VerbAnswer:
        """Give trials back to be proposed again."""

    def close(self) -> None:
        """Let go of connections."""
