"""From what a study says of its space to the space itself: the preset, narrowed, widened and checked."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from pydantic import ValidationError

from .baselines import BASELINES
from .corners import check_corners
from .model import Model, problem_from_validation
from .modifiers import Restarts, Warmup
from .optimizers import BUILDABLE, OPTIMIZERS, Optimizer
from .points import NONE_OF_IT, Ranges, Space
from .presets import PRESETS, WARMUP, Preset
from .problems import InvalidSpec
from .ranges import AnyRange, Choice, FloatRange, IntRange
from .schedules import FAMILIES
from .searched import Searched
from .study import Names, SpaceSpec

RESTARTS: Ranges = {"count": IntRange(low=1, high=4), "length_multiplier": Choice(choices=[1.0, 2.0])}
"""What `restarts: true` searches; a count of 1 means none."""


def resolve_space(
    spec: SpaceSpec,
    budget_trials: int,
    *,
    sparse_gradients: bool = False,
    parameter_groups: Sequence[str] = (),
    baselines: Sequence[str] = (),
    buildable: Collection[str] = BUILDABLE,
) -> Space:
    """Resolve the space of a study with a budget of that many trials.

    `sparse_gradients` and `parameter_groups` are the task's; `baselines` are the names that the confirmation asks
    for, which the task must be able to train; `buildable` are the optimizers that can be built.

    Raises:
        InvalidSpec: with the field: an unknown name, a range outside what its parameter allows, an optimizer that
            the task cannot train, or schedules that none of the optimizers can have.
    """
    if spec.preset not in PRESETS:
        raise InvalidSpec(f"there is no preset {spec.preset!r}: {', '.join(PRESETS)}", field="space.preset")
    preset = PRESETS[spec.preset](budget_trials)
    _check_baselines(baselines, sparse_gradients, buildable)
    optimizers = _optimizers(spec, preset, sparse_gradients, buildable)
    lr_ratios = {group: range_ for group, range_ in preset.lr_ratios.items() if group in parameter_groups}
    _check_one_lr(optimizers, lr_ratios)
    return Space(
        optimizers=optimizers,
        schedules=_schedules(spec, preset, list(optimizers), buildable),
        warmup=_modifier("warmup", Warmup, spec.warmup, preset.warmup, WARMUP),
        restarts=_modifier("restarts", Restarts, spec.restarts, preset.restarts, RESTARTS),
        lr_ratios=lr_ratios,
    )


def _optimizers(spec: SpaceSpec, preset: Preset, sparse: bool, buildable: Collection[str]) -> dict[str, Ranges]:
    if spec.optimizers is None:
        names = _from_preset(spec, preset, sparse, buildable)
    else:
        names = _named("optimizers", spec.optimizers, OPTIMIZERS)
        for kind in names:
            _check_optimizer(f"space.optimizers.{kind}", kind, sparse, buildable)
    given = spec.optimizers if isinstance(spec.optimizers, dict) else {}
    return {kind: _optimizer_ranges(kind, given.get(kind, {}), preset, sparse) for kind in names}


def _from_preset(spec: SpaceSpec, preset: Preset, sparse: bool, buildable: Collection[str]) -> list[str]:
    """Return the preset's optimizers that can be built, trained on the task, and have one of the named schedules."""
    constant = spec.schedules is None or "constant" in spec.schedules
    names = [
        kind
        for kind in preset.optimizers
        if kind in buildable and _trains(OPTIMIZERS[kind], sparse) and (constant or not OPTIMIZERS[kind].constant_only)
    ]
    if not names:
        raise InvalidSpec("no optimizer of this preset can train this task: name some", field="space.preset")
    return names


def _optimizer_ranges(kind: str, given: Ranges, preset: Preset, sparse: bool) -> Ranges:
    cls, field = OPTIMIZERS[kind], f"space.optimizers.{kind}"
    lr = cls.lr_range
    own: Ranges = {"lr": FloatRange(low=lr.low * preset.lr_scale, high=lr.high * preset.lr_scale, log=lr.log)}
    own |= cls.ranges
    if sparse:
        # torch adds weight decay to the gradient, which a sparse one does not allow.
        own.pop("weight_decay", None)
    known = ["lr", *(name for name in cls.parameters() if not (sparse and name == "weight_decay"))]
    ranges = _merged(field, given, own, known, cls)
    if any(isinstance(end, bool) or not isinstance(end, int | float) or end <= 0 for end in ranges["lr"].ends):
        raise InvalidSpec("a learning rate is a number above 0", field=f"{field}.lr")
    _check_ranges(field, cls, {name: range_ for name, range_ in ranges.items() if name != "lr"})
    return ranges


def _schedules(
    spec: SpaceSpec, preset: Preset, optimizers: Sequence[str], buildable: Collection[str]
) -> dict[str, Ranges]:
    if spec.schedules is None:
        names = [kind for kind in preset.schedules if kind in FAMILIES]
    else:
        names = _named("schedules", spec.schedules, FAMILIES)
    if "script" in names and "script" not in buildable:
        raise InvalidSpec("script is for tasks that are scripts only", field="space.schedules.script")
    if all(OPTIMIZERS[kind].constant_only for kind in optimizers):
        if spec.schedules is not None and "constant" not in names:
            listed = ", ".join(optimizers)
            raise InvalidSpec(f"{listed} can only have the schedule constant", field="space.schedules")
        names = ["constant"]
    given = spec.schedules if isinstance(spec.schedules, dict) else {}
    return {kind: _schedule_ranges(kind, given.get(kind, {})) for kind in names}


def _schedule_ranges(kind: str, given: Ranges) -> Ranges:
    cls, field = FAMILIES[kind], f"space.schedules.{kind}"
    known = [*cls.parameters(), *(name for name in given if cls.knows(name) and name not in cls.parameters())]
    ranges = _merged(field, given, dict(cls.ranges), known, cls)
    _check_ranges(field, cls, ranges)
    return ranges


def _modifier(part: str, model: type[Model], said: Ranges | bool | None, preset: Ranges, default: Ranges) -> Ranges:
    """Return a modifier's ranges: the preset's by default, none by false, the usual ones by true, or what is given."""
    if said is None or said is False:
        return preset if said is None else {}
    if said is True:
        return preset or default
    field, first = f"space.{part}", next(iter(model.model_fields))
    ranges = _merged(field, said, dict(preset or default), list(model.model_fields), model)
    given = [end for end in ranges[first].ends if end not in NONE_OF_IT[part]]
    if given:
        usual = {first: (preset or default)[first].ends[-1]}
        check_corners(field, model.model_validate, ranges | {first: Choice(choices=given)}, usual)
    return ranges


def _named(part: str, names: Names, known: Mapping[str, object]) -> list[str]:
    listed = list(names)
    if not listed:
        raise InvalidSpec(f"name at least one of {', '.join(known)}", field=f"space.{part}")
    for name in listed:
        if name not in known:
            raise InvalidSpec(f"there is no {name!r}: {', '.join(known)}", field=f"space.{part}.{name}")
    if len(set(listed)) < len(listed):
        raise InvalidSpec("a name is listed twice", field=f"space.{part}")
    return listed


def _merged(field: str, given: Ranges, own: Ranges, known: Sequence[str], model: type[Model]) -> Ranges:
    """Lay the given ranges over the catalogue's own, parameter by parameter."""
    for name in given:
        if name not in known:
            raise InvalidSpec(f"there is no parameter {name!r}: {', '.join(known)}", field=f"{field}.{name}")
    laid = {name: _on_scale(f"{field}.{name}", given[name], own.get(name), name, model) for name in given}
    return {name: (own | laid)[name] for name in known if name in own or name in laid}


def _on_scale(field: str, given: AnyRange, own: AnyRange | None, name: str, model: type[Model]) -> AnyRange:
    """Give an override the kind of number and, unless it names one, the scale of the range that it replaces."""
    if isinstance(given, Choice):
        return given
    annotation = model.model_fields[name].annotation if name in model.model_fields else None
    if isinstance(own, IntRange) or annotation is int:
        return _whole(field, given)
    scale = given if isinstance(given, FloatRange) and given.names_a_scale else own
    log, one_minus = (scale.log, scale.one_minus) if isinstance(scale, FloatRange) else (False, False)
    try:
        return FloatRange(low=given.low, high=given.high, log=log, one_minus=one_minus)
    except ValidationError as error:
        detail = problem_from_validation(error).detail
        raise InvalidSpec(f"{detail} (give log: false for an even spread)", field=field) from None


def _whole(field: str, given: FloatRange | IntRange) -> IntRange:
    low, high = int(given.low), int(given.high)
    if (low, high) != (given.low, given.high):
        raise InvalidSpec("this is a whole number", field=field)
    return IntRange(low=low, high=high)


def _check_ranges(field: str, spec: type[Searched], ranges: Ranges) -> None:
    """Refuse ranges that hold what the spec itself would refuse."""
    usual = {name: range_.ends[-1] for name, range_ in spec.ranges.items()}
    check_corners(field, spec.from_params, ranges, usual, spec.is_active)


def _check_optimizer(field: str, kind: str, sparse: bool, buildable: Collection[str]) -> None:
    if kind == "script" and kind not in buildable:
        raise InvalidSpec("script is for tasks that are scripts only", field=field)
    if kind not in buildable:
        raise InvalidSpec(f"{kind} is not part of this version", field=field)
    if not _trains(OPTIMIZERS[kind], sparse):
        raise InvalidSpec(f"{kind} does not train on {'sparse' if sparse else 'dense'} gradients", field=field)


def _check_one_lr(optimizers: Collection[str], lr_ratios: Ranges) -> None:
    for kind in optimizers:
        if lr_ratios and OPTIMIZERS[kind].one_lr:
            groups = ", ".join(lr_ratios)
            raise InvalidSpec(
                f"{kind} has one LR: no ratio for {groups} goes with it", field=f"space.optimizers.{kind}"
            )


def _check_baselines(names: Sequence[str], sparse: bool, buildable: Collection[str]) -> None:
    field = "confirmation.baselines"
    for name in names:
        if name == "current":
            continue
        if name not in BASELINES:
            raise InvalidSpec(f"there is no baseline {name!r}: current, {', '.join(BASELINES)}", field=field)
        optimizer = BASELINES[name].optimizer
        _check_optimizer(field, optimizer.kind, sparse, buildable)
        if sparse and optimizer.to_params().get("weight_decay"):
            raise InvalidSpec(f"{name} has weight decay, which sparse gradients do not allow", field=field)


def _trains(optimizer: type[Optimizer], sparse: bool) -> bool:
    return optimizer.sparse if sparse else optimizer.dense


__all__ = ["RESTARTS", "Space", "resolve_space"]
