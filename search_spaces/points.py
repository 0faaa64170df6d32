"""A resolved space: every kind with the range of every searched parameter, and the points between them.

Parameters have flat names, those of the Optuna trial: `optimizer`, `<optimizer>.lr`, `<optimizer>.<parameter>`,
`schedule`, `<schedule>.<parameter>`, `warmup.<parameter>`, `restarts.<parameter>`, `lr_ratios.<group>` and, where the
horizon is searched, `horizon.fraction`. They are conditional: a point has those of its own optimizer and schedule only,
always in this order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError, field_validator

from .candidate import Candidate
from .corners import corners
from .model import Model
from .modifiers import Restarts, Warmup
from .optimizers import OPTIMIZERS
from .problems import HorizonTooShort, InvalidSpec
from .ranges import AnyRange, Choice, Scalar
from .schedules import FAMILIES, Schedule, check_horizon
from .searched import Searched

Ranges = dict[str, AnyRange]
Draw = Callable[[str, AnyRange], Scalar]


class _OutsideError(Exception):
    """A value is missing, or no point of its range."""


class Space(Model):
    """What a study searches, stored with it; a parameter without a range keeps its model's default."""

    optimizers: dict[str, Ranges]
    """Ranges of each optimizer's parameters and of its initial LR, `lr`."""
    schedules: dict[str, Ranges]
    warmup: Ranges = {}
    """Empty: none. A `fraction` of 0 means none too."""
    restarts: Ranges = {}
    """Empty: none. A `count` of 1 means none too."""
    lr_ratios: Ranges = {}
    """By parameter group of the task."""
    horizon: Ranges = {}
    """Empty: every training has the study's horizon T. Else the range of `fraction`, a training's share of T."""

    @field_validator("optimizers")
    @classmethod
    def _optimizers_in_order(cls, given: dict[str, Ranges]) -> dict[str, Ranges]:
        return {
            kind: in_order(given[kind], ["lr", *OPTIMIZERS[kind].parameters()]) for kind in OPTIMIZERS if kind in given
        }

    @field_validator("schedules")
    @classmethod
    def _schedules_in_order(cls, given: dict[str, Ranges]) -> dict[str, Ranges]:
        return {kind: in_order(given[kind], FAMILIES[kind].parameters()) for kind in FAMILIES if kind in given}

    @field_validator("warmup")
    @classmethod
    def _warmup_in_order(cls, given: Ranges) -> Ranges:
        return in_order(given, list(Warmup.model_fields))

    @field_validator("restarts")
    @classmethod
    def _restarts_in_order(cls, given: Ranges) -> Ranges:
        return in_order(given, list(Restarts.model_fields))

    def ranges(self) -> Ranges:
        """Return the range of every parameter that some point has."""
        every: Ranges = {"optimizer": self._optimizer_choice()}
        for kind, ranges in self.optimizers.items():
            every |= {f"{kind}.{name}": range_ for name, range_ in ranges.items()}
        if self._schedule_choice is not None:
            every["schedule"] = self._schedule_choice
        for kind, ranges in self.schedules.items():
            every |= {f"{kind}.{name}": range_ for name, range_ in ranges.items()}
        others = {
            "warmup": self.warmup,
            "restarts": self.restarts,
            "lr_ratios": self.lr_ratios,
            "horizon": self.horizon,
        }
        for part, ranges in others.items():
            every |= {f"{part}.{name}": range_ for name, range_ in ranges.items()}
        return every

    def suggest(self, draw: Draw) -> tuple[Candidate, dict[str, Scalar]]:
        """Draw a point: `draw(name, range)` is called for each active parameter, in the fixed order."""
        params = _Walk(self, draw).params
        return _candidate(params), params

    def params_of(self, candidate: Candidate, horizon_fraction: float = 1.0) -> dict[str, Scalar] | None:
        """Return the parameters of a candidate, up to rounding; None where it is no point of this space.

        `horizon_fraction` counts where the horizon is searched too.
        """
        params = self._fitted(flat(candidate) | {HORIZON_FRACTION: horizon_fraction})
        if params is None or not alike(_candidate(params).model_dump(), candidate.model_dump()):
            return None
        return params

    def candidate_of(self, params: Mapping[str, Scalar]) -> Candidate | None:
        """Return the candidate of a trial's parameters; None where they are not exactly those of a point."""
        fitted = self._fitted(params)
        if fitted is None or set(fitted) != set(params):
            return None
        try:
            return _candidate(fitted)
        except ValidationError:
            return None

    def at_edge(self, params: Mapping[str, Scalar]) -> list[str]:
        """Return the names of the parameters that lie at an end of their range."""
        ranges = self.ranges()
        return [name for name, value in params.items() if name in ranges and ranges[name].at_edge(value)]

    def check_horizon(self, horizon: int) -> None:
        """Refuse a horizon in which some point of the space has no room.

        Raises:
            HorizonTooShort: field says which range asks for more (`space.schedules.one_cycle.peak_fraction`).
            InvalidSpec: a formula goes below 0 somewhere.
        """
        for kind, ranges in self.schedules.items():
            for corner in corners(ranges, FAMILIES[kind].is_active):
                self._check_corner(FAMILIES[kind].from_params(corner), horizon)

    def _check_corner(self, body: Schedule, horizon: int) -> None:
        for warmup in self._warmups(body):
            for restarts in self._restarts(body):
                try:
                    check_horizon(body.model_copy(update={"warmup": warmup, "restarts": restarts}), horizon)
                except InvalidSpec as problem:
                    raise _in_space(body.kind, problem) from None

    def _warmups(self, body: Schedule) -> list[Warmup | None]:
        """Return the longest warm-up that is searched: what it leaves is the least."""
        found = [Warmup.model_validate(corner) for corner in self._modifiers("warmup", body)]
        return [max(found, key=lambda warmup: warmup.fraction)] if found else [None]

    def _restarts(self, body: Schedule) -> list[Restarts | None]:
        return [Restarts.model_validate(corner) for corner in self._modifiers("restarts", body)] or [None]

    def _modifiers(self, part: str, body: Schedule) -> list[dict[str, Scalar]]:
        """Return the corners of a modifier's ranges at which there is such a modifier."""
        ranges = self.warmup if part == "warmup" else self.restarts
        if not takes(body, part, ranges):
            return []
        first = next(iter(ranges))
        return [corner for corner in corners(ranges) if corner[first] not in NONE_OF_IT[part]]

    def _fitted(self, values: Mapping[str, Scalar]) -> dict[str, Scalar] | None:
        """Walk along given values, each put exactly onto its range; None where one does not fit."""

        def pick(name: str, range_: AnyRange) -> Scalar:
            if name not in values or not range_.holds(values[name]):
                raise _OutsideError
            return range_.nearest(values[name])

        try:
            return _Walk(self, pick).params
        except _OutsideError:
            return None

    def _optimizer_choice(self) -> Choice:
        return Choice(choices=list(self.optimizers))

    @property
    def _schedule_choice(self) -> Choice | None:
        """The choice of a schedule, unless no optimizer of the space has one."""
        free = all(OPTIMIZERS[kind].constant_only for kind in self.optimizers)
        return None if free else Choice(choices=list(self.schedules))


class _Walk:
    """One way through a space's conditions, with `pick` deciding at each parameter."""

    def __init__(self, space: Space, pick: Draw) -> None:
        self._space, self._pick = space, pick
        self.params: dict[str, Scalar] = {}
        self._optimizer()
        family = FAMILIES[self._schedule()]
        self._modifier("warmup", family)
        self._modifier("restarts", family)
        for group, range_ in space.lr_ratios.items():
            self._take(f"lr_ratios.{group}", range_)
        for name, range_ in space.horizon.items():
            self._take(f"horizon.{name}", range_)

    def _take(self, name: str, range_: AnyRange) -> Scalar:
        self.params[name] = self._pick(name, range_)
        return self.params[name]

    def _optimizer(self) -> None:
        kind = str(self._take("optimizer", self._space._optimizer_choice()))
        self._parameters(OPTIMIZERS[kind], kind, self._space.optimizers[kind])

    def _schedule(self) -> str:
        choice = self._space._schedule_choice
        if choice is None or OPTIMIZERS[str(self.params["optimizer"])].constant_only:
            return "constant"
        kind = str(self._take("schedule", choice))
        self._parameters(FAMILIES[kind], kind, self._space.schedules[kind])
        return kind

    def _parameters(self, spec: type[Searched], kind: str, ranges: Ranges) -> None:
        drawn: dict[str, Scalar] = {}
        for name, range_ in ranges.items():
            if spec.is_active(name, drawn):
                drawn[name] = self._take(f"{kind}.{name}", range_)

    def _modifier(self, part: str, family: type[Schedule]) -> None:
        ranges = self._space.warmup if part == "warmup" else self._space.restarts
        if not takes(family, part, ranges):
            return
        (first, range_), *rest = ranges.items()
        if self._take(f"{part}.{first}", range_) not in NONE_OF_IT[part]:
            for name, further in rest:
                self._take(f"{part}.{name}", further)


HORIZON_FRACTION = "horizon.fraction"
"""The parameter of a training's own horizon, as a fraction of T; no part of the candidate."""
NONE_OF_IT: Mapping[str, tuple[Scalar, ...]] = {"warmup": (0,), "restarts": (1,)}
"""The value of a modifier's first parameter that means that there is no such modifier."""


def takes(family: type[Schedule] | Schedule, part: str, ranges: Ranges) -> bool:
    """Tell whether a modifier is searched with this family."""
    return bool(ranges) and part not in family.refuses and part not in family.left_out


def in_order(ranges: Ranges, names: Sequence[str]) -> Ranges:
    """Return ranges in the order of `names`, then by name: JSON objects come back from a database in any order."""
    return {name: ranges[name] for name in [*names, *sorted(ranges)] if name in ranges}


def _in_space(kind: str, problem: InvalidSpec) -> InvalidSpec:
    """Say a schedule's problem of the space that it is a point of."""
    field = problem.field or "horizon"
    if field.startswith(("warmup", "restarts")):
        field = f"space.{field}"
    elif field != "horizon":
        field = f"space.schedules.{kind}.{field}"
    if isinstance(problem, HorizonTooShort):
        return HorizonTooShort(problem.detail, field=field, least_steps=problem.least_steps)
    return InvalidSpec(problem.detail, field=field)


def flat(candidate: Candidate) -> dict[str, Scalar]:
    """Write everything that a space could search of a candidate under its flat name."""
    optimizer, schedule = candidate.optimizer, candidate.schedule
    flat: dict[str, Scalar] = {"optimizer": optimizer.kind, "schedule": schedule.kind}
    flat |= {f"{optimizer.kind}.{name}": value for name, value in optimizer.to_params().items()}
    flat[f"{optimizer.kind}.lr"] = candidate.initial_lr
    flat |= {f"{schedule.kind}.{name}": value for name, value in schedule.to_params().items()}
    for part, first in (("warmup", {"fraction": 0.0}), ("restarts", {"count": 1})):
        modifier = getattr(schedule, part)
        flat |= {f"{part}.{name}": value for name, value in (modifier or first.items())}
    return flat | {f"lr_ratios.{group}": ratio for group, ratio in candidate.lr_ratios.items()}


def _candidate(params: Mapping[str, Scalar]) -> Candidate:
    """Build the candidate of a point's parameters."""
    kind, schedule_kind = str(params["optimizer"]), str(params.get("schedule", "constant"))
    own = _under(kind, params)
    lr = own.pop("lr")
    modifiers: dict[str, Any] = {}
    for part, none in NONE_OF_IT.items():
        values = _under(part, params)
        if values and next(iter(values.values())) not in none:
            modifiers[part] = values
    # A script's own schedule has no parameters, and its name is that of the script's own optimizer.
    shape = {} if schedule_kind == kind else _under(schedule_kind, params)
    body = FAMILIES[schedule_kind].from_params(shape)
    return Candidate.model_validate({
        "optimizer": OPTIMIZERS[kind].from_params(own).model_dump(),
        "initial_lr": lr,
        "schedule": body.model_dump(exclude_none=True) | modifiers,
        "lr_ratios": _under("lr_ratios", params),
    })  # fmt: skip


def _under(prefix: str, params: Mapping[str, Scalar]) -> dict[str, Scalar]:
    start = f"{prefix}."
    return {name.removeprefix(start): value for name, value in params.items() if name.startswith(start)}


def alike(left: Any, right: Any) -> bool:
    """Compare two documents, numbers up to rounding."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(alike(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(alike(a, b) for a, b in zip(left, right, strict=True))
    if isinstance(left, float) and isinstance(right, float):
        return math.isclose(left, right, rel_tol=1e-8, abs_tol=1e-12)
    return bool(left == right)
