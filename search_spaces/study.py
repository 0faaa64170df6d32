"""StudySpec: what a user submits. Every field but `name` and `task` has a default that serves."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, Field, StrictBool, field_validator, model_validator

from .candidate import Candidate
from .model import Finite, Fraction, JsonObject, Model, Name
from .problems import InvalidSpec
from .ranges import AnyRange
from .searched import refuse
from .steps import whole_steps
from .target import Target
from .work import LONGEST_HORIZON, Arithmetic, Fidelity, OfferedTask

Direction = Literal["minimize", "maximize"]
Ranges = dict[str, AnyRange]
Names = list[str] | dict[str, Ranges]
"""Names to search, or names with ranges that override the preset's."""

EXTERNAL_TASK = "external"


class TaskSpec(Model):
    """What the schedule is searched for, by the name under which workers offer it."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    params: JsonObject = {}
    version: str | None = None
    """Default: the version offered when the study is submitted."""


class ObjectiveSpec(Model):
    """The decision metric; by default the task's."""

    metric: str | None = None
    direction: Direction | None = None
    target: Finite | None = None
    """Search for the fewest steps in which the metric gets to this value (docs/target.md); values are then steps."""
    min_gain: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """The smallest gain worth a change, in the metric's unit, or in steps with a target; default: the smallest
    detectable."""


class HorizonSpec(Model):
    """Length of one full training, in epochs of the task or in optimizer updates."""

    epochs: Annotated[int, Field(ge=1, le=LONGEST_HORIZON)] | None = None
    steps: Annotated[int, Field(ge=1, le=LONGEST_HORIZON)] | None = None

    @model_validator(mode="after")
    def _one_unit(self) -> HorizonSpec:
        if self.epochs is not None and self.steps is not None:
            raise ValueError("give epochs or steps, not both")
        return self


class SpaceSpec(Model):
    """What may be tried: a preset, narrowed or widened by name."""

    preset: str = "general"
    optimizers: Names | None = None
    schedules: Names | None = None
    warmup: Ranges | StrictBool | None = None
    """Ranges of `fraction`; false: no warm-up is searched."""
    restarts: Ranges | StrictBool | None = None


class BudgetSpec(Model):
    """What the search may spend; the confirmation is counted apart."""

    trials: Annotated[int, Field(ge=1, le=100_000)] = 64
    worker_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    deadline: AwareDatetime | None = None
    """Includes the confirmation: claims stop in time for it."""


class LimitsSpec(Model):
    """What one trial may use."""

    trial_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    memory_mib: Annotated[int, Field(ge=1)] | None = None
    device: Literal["any", "cpu", "cuda"] = "any"


class SamplerSpec(Model):
    """How proposals are drawn."""

    kind: Literal["curves", "tpe", "random"] = "curves"
    """`curves`: two of three by a model of the LR curve, the third by TPE (docs/search.md)."""
    lag: Annotated[int, Field(ge=0)] | None = None
    """L: proposal n sees exactly proposals 0 ... n-L-1, and waits for them. Unset: what has finished, and
    what trials in training have shown at rungs."""


class PrunerSpec(Model):
    """When a trial that falls behind at a rung is stopped."""

    kind: Literal["none", "median", "halving", "hyperband"] = "halving"
    rungs: Annotated[list[Fraction], Field(max_length=100)] = [0.1, 0.2, 0.3, 0.5]
    """Fractions of the horizon at which trials are compared."""
    keep: Annotated[float, Field(gt=0, lt=1)] = 0.69
    """halving: the share that passes each rung."""
    fidelity: Fidelity = "averaged"
    """What is compared at a rung (docs/search.md): the raw metric at that step; the best of it and of averaged weights;
    that of a branch with a cooldown; that of a whole training whose schedule ends at that step; the raw metric among
    trials at the same phase of their schedules."""
    cooldown: Fraction = 0.05
    """`fidelity: cooldown`: length of the branch on which the LR falls to zero behind each rung, in horizons."""
    run_on: Annotated[float, Field(ge=0, le=1)] = 0.05
    """Share of trials that would be pruned and run to the end all the same, to measure what pruning costs."""
    startup_trials: Annotated[int, Field(ge=1)] = 5
    """Values that a rung must hold before it decides."""

    @field_validator("kind")
    @classmethod
    def _known_kind(cls, kind: str) -> str:
        if kind == "hyperband":
            raise ValueError("hyperband is not part of this version; use halving, median or none")
        return kind

    @field_validator("rungs")
    @classmethod
    def _rising(cls, rungs: list[float]) -> list[float]:
        if sorted(set(rungs)) != rungs:
            raise ValueError("rungs must rise")
        return rungs


class ConfirmationSpec(Model):
    """How the answer is checked: fresh seeds at the full horizon, never pruned."""

    top: Annotated[int, Field(ge=1, le=20)] = 2
    seeds: Annotated[int, Field(ge=2, le=100)] = 9
    """Fresh seeds of every arm: nine detect a gain of two standard deviations of their noise over three baselines."""
    baselines: list[str] | None = None
    """Names from the catalogue; default: current if given, and the three that people would pick."""
    max_share: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 2.0
    """At most this multiple of the search's worker-seconds; seeds are dropped for it, down to 3."""
    extras: bool = True


class WarmStartSpec(Model):
    """Earlier studies to start from: their trials and their best candidates (docs/recurrences.md)."""

    studies: Annotated[list[Name], Field(max_length=30)] = []
    """Names, the latest first: the sampler starts from their trials, of the first ones more than of the others."""
    top: Annotated[int, Field(ge=1, le=20)] = 3
    """How many of their best candidates are tried first, within a quarter of the budget."""


class StudyTemplate(Model):
    """What a study says beside its name: a recurrence submits it anew each night."""

    task: TaskSpec
    objective: ObjectiveSpec = ObjectiveSpec()
    horizon: HorizonSpec = HorizonSpec()
    space: SpaceSpec = SpaceSpec()
    current: Candidate | None = None
    """What the user runs today."""
    budget: BudgetSpec = BudgetSpec()
    limits: LimitsSpec = LimitsSpec()
    sampler: SamplerSpec = SamplerSpec()
    pruner: PrunerSpec = PrunerSpec()
    confirmation: ConfirmationSpec = ConfirmationSpec()
    warm_start: WarmStartSpec = WarmStartSpec()
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    priority: Annotated[int, Field(ge=-1000, le=1000)] = 0
    tags: Annotated[list[Annotated[str, Field(min_length=1, max_length=100)]], Field(max_length=50)] = []

    @model_validator(mode="after")
    def _external_says_what_nobody_offers(self) -> Self:
        if self.task.name == EXTERNAL_TASK:
            for path, value in (
                ("objective.metric", self.objective.metric),
                ("objective.direction", self.objective.direction),
                ("horizon.steps", self.horizon.steps),
            ):
                if value is None:
                    raise refuse(path, "this field is required: the task external has no offer that says it")
        return self


class StudySpec(StudyTemplate):
    """A study as submitted."""

    name: Name

    @field_validator("name")
    @classmethod
    def _not_a_confirmation(cls, name: str) -> str:
        if name.endswith(".confirmation"):
            raise ValueError("a name may not end in .confirmation: that is the name of a study's confirmation")
        return name


class ResolvedStudy(Model):
    """What the offer of the task adds to a spec: nothing in it is open any more."""

    metric: str
    """What the study's values are: the decision metric, or with a target the steps to it."""
    direction: Direction
    horizon_steps: int
    task_version: str
    rungs: list[int]
    """None with a target: trials over different horizons are not compared while they train."""
    arithmetic: Arithmetic | None = None
    """What the task computes in; None where nobody offers it."""
    target: Target | None = None


def confirmation_name(name: str) -> str:
    """Name of the Optuna study that holds the confirmation of study `name`."""
    return f"{name}.confirmation"


def resolve_study(spec: StudySpec, offer: OfferedTask | None) -> ResolvedStudy:
    """Meet the spec with the task's offer (None for `external`).

    Raises:
        InvalidSpec: the objective names a metric or a direction that the task does not have, or the epochs are more
            steps than the longest horizon.
    """
    if offer is None:
        steps = spec.horizon.steps or 0
        metric, direction, version = spec.objective.metric or "", spec.objective.direction, "1"
    else:
        steps = spec.horizon.steps or (spec.horizon.epochs or offer.horizon.epochs) * offer.horizon.steps_per_epoch
        metric, direction, version = offer.metric, offer.direction, spec.task.version or offer.version
        if spec.objective.metric not in (None, offer.metric):
            raise InvalidSpec(f"the task {offer.name} decides by {offer.metric}", field="objective.metric")
        if spec.objective.direction not in (None, offer.direction):
            raise InvalidSpec(f"{offer.metric} is to {offer.direction}", field="objective.direction")
    assert direction is not None
    if steps > LONGEST_HORIZON:
        field = "horizon" if spec.horizon.epochs is None else "horizon.epochs"
        raise InvalidSpec(f"{steps} steps are more than the longest horizon of {LONGEST_HORIZON}", field=field)
    wanted = spec.objective.target
    target = None if wanted is None else Target(metric=metric, direction=direction, value=wanted, horizon_steps=steps)
    return ResolvedStudy(
        metric=metric if target is None else target.unit,
        direction=direction if target is None else "minimize",
        horizon_steps=steps,
        task_version=version,
        rungs=resolve_rungs(spec.pruner, steps) if target is None else [],
        arithmetic=offer.arithmetic if offer else None,
        target=target,
    )


def resolve_rungs(pruner: PrunerSpec, horizon_steps: int) -> list[int]:
    """Return the steps at which trials are compared over a horizon, rising; none without pruning.

    Two fractions may round to one step on a short horizon: one comparison there is enough.
    """
    if pruner.kind == "none":
        return []
    rungs = sorted({whole_steps(fraction, horizon_steps) for fraction in pruner.rungs})
    return [rung for rung in rungs if rung < horizon_steps]


__all__ = [
    "EXTERNAL_TASK",
    "BudgetSpec",
    "ConfirmationSpec",
    "Direction",
    "HorizonSpec",
    "LimitsSpec",
    "ObjectiveSpec",
    "PrunerSpec",
    "ResolvedStudy",
    "SamplerSpec",
    "SpaceSpec",
    "StudySpec",
    "StudyTemplate",
    "TaskSpec",
    "WarmStartSpec",
    "confirmation_name",
    "resolve_rungs",
    "resolve_study",
]
