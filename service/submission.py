"""What becomes of a submitted spec: met with the task's offer, checked, and started or queued."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from search_spaces.baselines import SCRIPT_BASELINES
from search_spaces.candidate import Candidate
from search_spaces.problems import HorizonTooShort, InvalidSpec, NotAvailable
from search_spaces.schedules import check_horizon
from search_spaces.script_space import resolve_script_space, script_default, unreachable
from search_spaces.space import Space, resolve_space
from search_spaces.study import (
    EXTERNAL_TASK,
    BudgetSpec,
    PrunerSpec,
    ResolvedStudy,
    StudySpec,
    TaskSpec,
    resolve_study,
)
from search_spaces.target import FRACTION, LEAST_FRACTION, Target
from search_spaces.work import BRANCHING, OfferedScript, OfferedTask

from .opponents import CURRENT, baselines_of

Resolution = tuple[ResolvedStudy, Space]
_TARGET = "objective.target"


def offer_of(offers: Sequence[OfferedTask], task: TaskSpec) -> OfferedTask | None:
    """Return the latest offer of a task, in the version that the spec asks for if it asks for one."""
    for offer in offers:
        if offer.name == task.name and task.version in (None, offer.version):
            return offer
    return None


def resolve_submission(spec: StudySpec, offers: Sequence[OfferedTask]) -> Resolution | None:
    """Meet a spec with what workers have offered; None when nobody has offered its task yet.

    Raises:
        InvalidSpec: the spec, or the offer, refutes a field.
        HorizonTooShort: a schedule that may be tried does not fit the horizon.
        NotAvailable: the task is known, but its data are not at hand.
    """
    _refuse_later_versions(spec)
    _check_target(spec)
    refuse_past_deadline(spec.budget)
    if spec.task.name == EXTERNAL_TASK:
        return resolve(spec, None)
    offer = offer_of(offers, spec.task)
    if offer is not None:
        return resolve(spec, offer)
    # Names and ranges are wrong whatever the task turns out to be.
    try:
        _check_unoffered(spec, sparse=False)
    except InvalidSpec as problem:
        _check_sparse_instead(spec, problem)
    return None


def _check_unoffered(spec: StudySpec, *, sparse: bool) -> None:
    """Refuse what would be wrong with any task whose gradients are `sparse`, or are not."""
    if _names_script(spec):
        return  # the task may be one, which leaves other things open
    space = _space(spec, None, sparse=sparse)
    _check_current(spec.current, sparse=sparse)
    if spec.horizon.steps is not None:
        _check_horizons(spec, space, spec.horizon.steps, sparse=sparse)


def _names_script(spec: StudySpec) -> bool:
    named = (*(spec.space.optimizers or ()), *(spec.space.schedules or ()), *(spec.confirmation.baselines or ()))
    own = spec.current is not None and spec.current.optimizer.kind == "script"
    return own or any(name == "script" or name in SCRIPT_BASELINES for name in named)


def _check_sparse_instead(spec: StudySpec, problem: InvalidSpec) -> None:
    """Raise the problem that a spec has with dense gradients, unless it has none with sparse ones."""
    try:
        _check_unoffered(spec, sparse=True)
    except InvalidSpec:
        raise problem from None


def _refuse_later_versions(spec: StudySpec) -> None:
    """Refuse what a spec may say but this version does not do: nothing is passed over in silence."""
    asked = {
        "limits.trial_seconds": spec.limits.trial_seconds is not None,
        "limits.memory_mib": spec.limits.memory_mib is not None,
        "limits.device": spec.limits.device != "any",
    }
    for field, is_asked in asked.items():
        if is_asked:
            raise InvalidSpec("this is not part of this version", field=field)


def _check_target(spec: StudySpec) -> None:
    """Refuse what a search for the fewest steps cannot do."""
    if spec.objective.target is None:
        return
    if spec.task.name == EXTERNAL_TASK:
        raise InvalidSpec("a target takes trainings of any horizon, and a loop of one's own has one", field=_TARGET)
    if spec.pruner.kind != "none" and spec.pruner != PrunerSpec():
        raise InvalidSpec("with objective.target trials have different horizons: none is pruned", field="pruner")


def refuse_past_deadline(budget: BudgetSpec) -> None:
    """Refuse a budget whose deadline has passed."""
    if budget.deadline is not None and budget.deadline <= datetime.now(UTC):
        raise InvalidSpec("this time has passed: no trial could be claimed", field="budget.deadline")


def resolve(spec: StudySpec, offer: OfferedTask | None) -> Resolution:
    """Meet a spec with the offer of its task (None for `external`); raises as `resolve_submission`."""
    if offer is not None:
        if not offer.available:
            raise NotAvailable(offer.reason or "", field="task")
        check_params(spec.task.params, offer.params_schema)
    resolved = resolve_study(spec, offer)
    sparse = offer is not None and offer.sparse_gradients
    space = _space(spec, offer, sparse=sparse)
    _check_current(spec.current, sparse=sparse)
    _check_groups(spec.current, offer)
    _check_script(spec, resolved, offer)
    _check_fidelity(spec, offer)
    script = offer.script if offer is not None else None
    if resolved.target is None:
        _check_horizons(spec, space, resolved.horizon_steps, sparse=sparse, script=script)
        return resolved, space
    if script is not None and script.fixed_horizon:
        raise InvalidSpec("a target takes trainings of any horizon, and the script's is its own", field=_TARGET)
    _check_least_horizon(spec, space, resolved.target, sparse=sparse, script=script)
    return resolved, space.model_copy(update={"horizon": FRACTION})


def _space(spec: StudySpec, offer: OfferedTask | None, *, sparse: bool) -> Space:
    named = spec.confirmation.baselines or []
    script = offer.script if offer is not None else None
    if CURRENT in named and spec.current is None and (script is None or script_default(script) is None):
        raise InvalidSpec("the study has no `current` to compare with", field="confirmation.baselines")
    if script is not None:
        return resolve_script_space(spec.space, spec.budget.trials, script, baselines=named)
    return resolve_space(
        spec.space,
        spec.budget.trials,
        sparse_gradients=sparse,
        parameter_groups=() if offer is None else offer.parameter_groups,
        baselines=named,
    )


def _check_current(current: Candidate | None, *, sparse: bool) -> None:
    """Refuse what a user trains with today, but the task cannot: it would fail in every confirmation."""
    if current is None:
        return
    optimizer, gradients = current.optimizer, "sparse" if sparse else "dense"
    if not (optimizer.sparse if sparse else optimizer.dense):
        raise InvalidSpec(f"{optimizer.kind} does not train on {gradients} gradients", field="current.optimizer")
    if sparse and optimizer.to_params().get("weight_decay"):
        raise InvalidSpec("sparse gradients do not allow a weight decay", field="current.optimizer.weight_decay")


def _check_groups(current: Candidate | None, offer: OfferedTask | None) -> None:
    """Refuse ratios for parameter groups that the task does not name."""
    known = [] if offer is None else offer.parameter_groups
    for group in current.lr_ratios if current is not None else {}:
        if group not in known:
            listed = ", ".join(known) or "none"
            raise InvalidSpec(f"the task has no parameter group {group!r}: {listed}", field="current.lr_ratios")


def _check_script(spec: StudySpec, resolved: ResolvedStudy, offer: OfferedTask | None) -> None:
    """Refuse what a training script cannot be asked for, and its own schedule where the task is none."""
    script, current = (None if offer is None else offer.script), spec.current
    if script is None:
        if current is not None and current.optimizer.kind == "script":
            raise InvalidSpec("script is for tasks that are scripts only", field="current.optimizer")
        return
    assert offer is not None
    if script.fixed_horizon and resolved.horizon_steps != offer.horizon.steps:
        raise InvalidSpec(
            f"the script itself makes {offer.horizon.steps} updates, and nothing tells it another number",
            field="horizon",
        )
    reason = None if current is None else unreachable(current, script)
    if reason is not None:
        raise InvalidSpec(f"the script cannot be told to train so: {reason}", field="current")


def _check_fidelity(spec: StudySpec, offer: OfferedTask | None) -> None:
    """Refuse rungs that train beside a trial's own training where that is not ours: a script, a loop of the user's."""
    fidelity = spec.pruner.fidelity
    if fidelity in BRANCHING and (offer is None or offer.script is not None):
        whose = "a script of your own" if offer is not None else "a loop of your own"
        raise InvalidSpec(f"{fidelity} trains beside a trial, and nothing asks {whose} to", field="pruner.fidelity")


def _check_horizons(
    spec: StudySpec, space: Space, horizon: int, *, sparse: bool, script: OfferedScript | None = None
) -> None:
    """Refuse a horizon into which something that will be trained does not fit."""
    space.check_horizon(horizon)
    if spec.current is not None:
        _check_fit("current.schedule", spec.current, horizon)
    for name, candidate in baselines_of(spec, sparse=sparse, script=script).items():
        _check_fit(f"baseline {name}", candidate, horizon)


def _check_least_horizon(
    spec: StudySpec, space: Space, target: Target, *, sparse: bool, script: OfferedScript | None
) -> None:
    """Refuse a T whose shortest trainings have no room for something that will be trained."""
    try:
        _check_horizons(spec, space, target.least_steps, sparse=sparse, script=script)
    except HorizonTooShort as problem:
        least = math.ceil(problem.least_steps / LEAST_FRACTION)
        detail = f"with objective.target trainings may have {target.least_steps} steps: {problem.detail}"
        raise HorizonTooShort(detail, field=problem.field, least_steps=least) from None


def _check_fit(where: str, candidate: Candidate, horizon: int) -> None:
    try:
        check_horizon(candidate.schedule, horizon)
    except HorizonTooShort as problem:
        ours = where.startswith("baseline")
        field = "horizon" if ours or problem.field in (None, "horizon") else f"{where}.{problem.field}"
        detail = f"{where}: {problem.detail}" if ours else problem.detail
        raise HorizonTooShort(detail, field=field, least_steps=problem.least_steps) from None
    except InvalidSpec as problem:
        raise InvalidSpec(problem.detail, field=where) from None


# The task's own parameters

_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}


def check_params(params: Mapping[str, Any], schema: Mapping[str, Any]) -> None:
    """Check a task's parameters against what of JSON Schema an offer may use: names, types, enum and bounds.

    Raises:
        InvalidSpec: field names the parameter (`task.params.noise`).
    """
    known: Mapping[str, Any] = schema.get("properties", {})
    for name in schema.get("required", []):
        if name not in params:
            raise InvalidSpec("this parameter of the task is required", field=f"task.params.{name}")
    for name, value in params.items():
        if name in known:
            _check_param(f"task.params.{name}", value, known[name])
        elif schema.get("additionalProperties") is not True:
            listed = f"it has {', '.join(known)}" if known else "it takes none"
            raise InvalidSpec(f"the task has no parameter {name!r}; {listed}", field=f"task.params.{name}")


def _check_param(field: str, value: Any, schema: Mapping[str, Any]) -> None:
    kinds = schema.get("type", list(_TYPES))
    names = [kinds] if isinstance(kinds, str) else list(kinds)
    if not any(_is_of_type(value, name) for name in names):
        raise InvalidSpec(f"{value!r} is not of type {' or '.join(names)}", field=field)
    if "enum" in schema and value not in schema["enum"]:
        raise InvalidSpec(f"{value!r} is none of {schema['enum']}", field=field)
    if isinstance(value, int | float):
        _check_bounds(field, value, schema)


def _is_of_type(value: Any, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    return isinstance(value, _TYPES.get(name, (object,)))


_REFUSALS: Mapping[str, Callable[[float, float], bool]] = {
    "minimum": operator.lt,
    "exclusiveMinimum": operator.le,
    "maximum": operator.gt,
    "exclusiveMaximum": operator.ge,
}
"""By keyword of JSON Schema: what a value must not be to its bound."""


def _check_bounds(field: str, value: float, schema: Mapping[str, Any]) -> None:
    for name, is_beyond in _REFUSALS.items():
        if name in schema and is_beyond(value, schema[name]):
            raise InvalidSpec(f"{value} is beyond the {name} {schema[name]}", field=field)
