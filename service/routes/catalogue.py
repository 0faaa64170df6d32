"""The catalogue: schedules, optimizers and presets by name, the tasks that workers offer, and previews."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import Field, model_validator

from search_spaces.describe import describe_schedule
from search_spaces.model import Message, Model, Number, ProblemValue
from search_spaces.optimizers import BUILDABLE, OPTIMIZERS, Optimizer
from search_spaces.presets import MEDIUM_BUDGET, PRESETS, SMALL_BUDGET
from search_spaces.problems import HorizonTooShort, InvalidSpec, NotFound, Unsupported
from search_spaces.ranges import AnyRange
from search_spaces.schedules import FAMILIES, AnySchedule, Plateau, Schedule
from search_spaces.study import Direction
from search_spaces.time_strings import has_time_strings, with_fractions
from search_spaces.work import OfferedTask
from store.workers import offers

from .. import deps
from ..curves import Floats, as_svg, lr_curve

router = APIRouter(prefix="/v1", tags=["catalogue"], responses=deps.PROBLEMS)
SVG = "image/svg+xml"


class ScheduleEntry(Message):
    """A schedule family."""

    kind: str
    description: str
    formula: str
    source: str
    also_known_as: list[str]
    search: dict[str, AnyRange]
    """Ranges in which its parameters are searched by default."""
    refuses: dict[str, str]
    """Modifiers that make no sense with it, and why."""
    json_schema: dict[str, Any]


class SchedulePage(Message):
    """Every schedule family."""

    items: list[ScheduleEntry]
    next_cursor: None = None


class OptimizerEntry(Message):
    """An optimizer."""

    kind: str
    title: str
    description: str
    source: str
    search: dict[str, AnyRange]
    """Ranges in which its parameters are searched by default; `lr` is the initial LR's."""
    json_schema: dict[str, Any]


class OptimizerPage(Message):
    """Every optimizer that can be trained with."""

    items: list[OptimizerEntry]
    next_cursor: None = None


class PresetEntry(Message):
    """A preset at one size of budget: names that this version does not have yet are left out."""

    name: str
    from_trials: int
    """The smallest budget for which this is what the preset means."""
    optimizers: list[str]
    schedules: list[str]
    warmup: dict[str, AnyRange]
    restarts: dict[str, AnyRange]


class PresetPage(Message):
    """Every preset, once for each size of budget at which it changes."""

    items: list[PresetEntry]
    next_cursor: None = None


class TaskPage(Message):
    """The latest offer of every task and version; its workers may be gone since."""

    items: list[OfferedTask]
    next_cursor: None = None


class Preview(Model):
    """A schedule to be drawn before anything is trained."""

    schedule: AnySchedule
    initial_lr: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    total_steps: Annotated[int, Field(ge=1, le=1_000_000)]
    metrics: Annotated[list[Number], Field(max_length=100_000)] | None = None
    """What a `plateau` follows, spread evenly over the steps."""
    direction: Direction = "minimize"
    """Whether a lower or a higher metric is better."""
    steps_per_epoch: Annotated[int, Field(ge=1)] | None = None
    """What a length written in epochs ("30ep") is counted with."""

    @model_validator(mode="before")
    @classmethod
    def _lengths_are_fractions(cls, written: Any) -> Any:
        """Turn time strings ("30ep", "1500ba", "0.3dur") into fractions of `total_steps`."""
        schedule = written.get("schedule") if isinstance(written, dict) else None
        if not isinstance(schedule, dict) or not has_time_strings(schedule):
            return written
        steps, epoch = written.get("total_steps"), written.get("steps_per_epoch")
        if not _is_count(steps) or not (epoch is None or _is_count(epoch)):
            return written
        try:
            return {**written, "schedule": with_fractions(schedule, steps, epoch)}
        except InvalidSpec as problem:
            raise ProblemValue(problem) from None


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 1


class PreviewCurve(Message):
    """The LR of every update."""

    lr: list[float]


@router.get("/schedules")
def show_schedules() -> SchedulePage:
    """Show every schedule family with formula, source, search ranges and JSON Schema."""
    return SchedulePage(items=[_schedule(kind, family) for kind, family in FAMILIES.items()])


@router.get("/schedules/{kind}")
def show_schedule(kind: str) -> ScheduleEntry:
    """Show one schedule family."""
    if kind not in FAMILIES:
        raise NotFound(f"there is no schedule {kind!r}: {', '.join(FAMILIES)}", field="kind")
    return _schedule(kind, FAMILIES[kind])


def _schedule(kind: str, family: type[Schedule]) -> ScheduleEntry:
    return ScheduleEntry(
        kind=kind,
        description=_first_line(family),
        formula=family.law,
        source=family.source,
        also_known_as=list(family.also),
        search=dict(family.ranges),
        refuses=dict(family.refuses),
        json_schema=family.model_json_schema(),
    )


@router.get("/optimizers")
def show_optimizers() -> OptimizerPage:
    """Show every optimizer that can be trained with."""
    return OptimizerPage(items=[_optimizer(kind, OPTIMIZERS[kind]) for kind in OPTIMIZERS if kind in BUILDABLE])


def _optimizer(kind: str, optimizer: type[Optimizer]) -> OptimizerEntry:
    return OptimizerEntry(
        kind=kind,
        title=optimizer.title,
        description=_first_line(optimizer),
        source=optimizer.origin,
        search={"lr": optimizer.lr_range, **optimizer.ranges},
        json_schema=optimizer.model_json_schema(),
    )


def _first_line(model: type[Model]) -> str:
    return (model.__doc__ or "").strip().split("\n", maxsplit=1)[0]


@router.get("/presets")
def show_presets() -> PresetPage:
    """Show what each preset tries, by the size of the budget."""
    return PresetPage(items=[entry for name in PRESETS for entry in _preset(name)])


def _preset(name: str) -> list[PresetEntry]:
    entries: list[PresetEntry] = []
    for trials in (1, SMALL_BUDGET + 1, MEDIUM_BUDGET + 1):
        preset = PRESETS[name](trials)
        entry = PresetEntry(
            name=name,
            from_trials=trials,
            optimizers=[kind for kind in preset.optimizers if kind in BUILDABLE],
            schedules=[kind for kind in preset.schedules if kind in FAMILIES],
            warmup=preset.warmup,
            restarts=preset.restarts,
        )
        if not entries or entry.model_copy(update={"from_trials": entries[-1].from_trials}) != entries[-1]:
            entries.append(entry)
    return entries


@router.get("/tasks")
def show_tasks(store: deps.StoreOf) -> TaskPage:
    """Show the tasks that workers have offered."""
    return TaskPage(items=offers(store))


@router.post(
    "/schedules/preview",
    response_model=PreviewCurve,
    responses={200: {"content": {SVG: {}}, "description": "The curve, or with Accept: image/svg+xml its plot"}},
)
def preview(body: Preview, request: Request) -> PreviewCurve | Response:
    """Give the LR of each of `total_steps` updates; with `Accept: image/svg+xml`, a plot of it."""
    if isinstance(body.schedule, Plateau) == (body.metrics is None):
        raise InvalidSpec("plateau follows metrics, and no other schedule does", field="metrics")
    lr = _previewed(body)
    if SVG in request.headers.get("accept", ""):
        return Response(as_svg(lr, describe_schedule(body.schedule)), media_type=SVG)
    return PreviewCurve(lr=lr.tolist())


def _previewed(body: Preview) -> Floats:
    """Return the curve; what the schedule says of itself is said of the body's `schedule`."""
    try:
        return lr_curve(
            body.schedule, body.initial_lr, body.total_steps, metrics=body.metrics, direction=body.direction
        )
    except HorizonTooShort as problem:
        field = f"schedule.{problem.field}"
        raise HorizonTooShort(problem.detail, field=field, least_steps=problem.least_steps) from None
    except Unsupported as problem:
        raise InvalidSpec(problem.detail, field="schedule.kind") from None
