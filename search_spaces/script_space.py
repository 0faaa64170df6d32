"""What a task that is a script can be searched for: a study's space, cut to what reaches the script."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from .baselines import BASELINES, SCRIPT_BASELINES, script_baselines, script_current
from .candidate import Candidate
from .optimizers import BUILDABLE
from .points import Ranges, Space
from .presets import PRESETS, Preset
from .problems import InvalidSpec
from .ranges import FloatRange
from .searched import Searched
from .space import resolve_space
from .study import SpaceSpec
from .work import OfferedScript

SCRIPT = "script"
LR_FACTORS_SEARCHED = (0.01, 100.0)
"""Multiples of the script's own LR between which its initial LR is searched, where nothing else is said."""
OWN_OPTIMIZER = "the script keeps its own optimizer in this mode, and only its LR is searched; flags and file search it"
NOT_SEARCHED = "what the script does by itself can be scaled in the mode inject only; here it is the baseline current"
NEEDS_METRIC = "a plateau follows the metric, and the LR of every update is set before the script has shown any"


def resolve_script_space(
    spec: SpaceSpec, budget_trials: int, script: OfferedScript, *, baselines: Sequence[str] = ()
) -> Space:
    """Resolve the space of a study whose task is a script, with a budget of that many trials.

    Raises:
        InvalidSpec: with the field: what `resolve_space` refuses, and what does not reach this script.
    """
    _check_baselines(baselines, script)
    preset = _preset(spec, budget_trials)
    said = spec.model_copy(
        update={
            "optimizers": _optimizers(spec, script, preset.optimizers),
            "schedules": _schedules(spec, script, preset.schedules),
        }
    )
    space = resolve_space(said, budget_trials, buildable=BUILDABLE | {SCRIPT})
    return _cut(space, script, spec)


def script_candidates(script: OfferedScript) -> dict[str, Candidate]:
    """Return the baselines of the catalogue that can be trained by this script, by name."""
    if script.mode == "inject":
        return {} if script.initial_lr is None else script_baselines(script.initial_lr)
    return {name: candidate for name, candidate in BASELINES.items() if unreachable(candidate, script) is None}


def script_default(script: OfferedScript) -> Candidate | None:
    """Return what the script does by itself as a candidate; None where its LR was not seen."""
    return None if script.initial_lr is None else script_current(script.initial_lr)


def unreachable(candidate: Candidate, script: OfferedScript) -> str | None:
    """Say what of a candidate does not reach a script; None where all of it does."""
    optimizer, schedule = candidate.optimizer, candidate.schedule
    if schedule.kind == SCRIPT or (optimizer.kind == SCRIPT and script.mode == "inject"):
        return NEEDS_METRIC if schedule.kind == "plateau" else None
    if schedule.kind == "plateau" and script.mode != "flags":
        return NEEDS_METRIC
    parts: list[tuple[Searched, Mapping[str, list[str]] | None]] = [
        (optimizer, script.optimizers), (schedule, script.schedules)
    ]  # fmt: skip
    for part, open_ in parts:
        if (reason := _part_unreachable(part, open_)) is not None:
            return reason
    for name, settable in (("warmup", script.warmup), ("restarts", script.restarts)):
        if getattr(schedule, name) is not None and settable == []:
            return f"the script makes no {name}"
    return "the script has no lr_ratios" if candidate.lr_ratios else None


def _part_unreachable(part: Searched, open_: Mapping[str, list[str]] | None) -> str | None:
    if open_ is None:
        return None
    if part.kind not in open_:
        return f"the script does not know {part.kind}: {', '.join(open_)}"
    for name, value in part.to_params().items():
        field = type(part).model_fields.get(name)
        if field is not None and name not in open_[part.kind] and value != field.default:
            return f"{part.kind}.{name} cannot be set"
    return None


def _check_baselines(names: Sequence[str], script: OfferedScript) -> None:
    field = "confirmation.baselines"
    known = script_candidates(script)
    for name in names:
        if name == "current" or name in known:
            continue
        if name not in BASELINES and name not in SCRIPT_BASELINES:
            raise InvalidSpec(f"there is no baseline {name!r}: {', '.join(['current', *known])}", field=field)
        reason = OWN_OPTIMIZER
        if script.mode != "inject":
            reason = (unreachable(BASELINES[name], script) or "") if name in BASELINES else "the optimizer is searched"
        raise InvalidSpec(f"{name} cannot be trained: {reason}", field=field)


def _optimizers(spec: SpaceSpec, script: OfferedScript, usual: Sequence[str]) -> dict[str, Ranges]:
    """Return the optimizers to search, each with the ranges that the study gives it."""
    given = spec.optimizers if isinstance(spec.optimizers, dict) else {}
    if script.mode == "inject":
        for kind in spec.optimizers or ():
            if kind != SCRIPT:
                raise InvalidSpec(OWN_OPTIMIZER, field=f"space.optimizers.{kind}")
        return {SCRIPT: {"lr": _own_lr(script), **given.get(SCRIPT, {})}}
    names = _named(spec.optimizers, script.optimizers, "optimizers", usual)
    said = _said_lr(script)
    return {kind: ({"lr": said} if said else {}) | given.get(kind, {}) for kind in names}


def _schedules(spec: SpaceSpec, script: OfferedScript, usual: Sequence[str]) -> dict[str, Ranges]:
    """Return the schedules to search: the preset's, or those named, and in (a) what the script does by itself."""
    given = spec.schedules if isinstance(spec.schedules, dict) else {}
    names = list(_named(spec.schedules, script.schedules, "schedules", usual))
    if script.mode != "inject" and SCRIPT in names:
        raise InvalidSpec(NOT_SEARCHED, field="space.schedules.script")
    if script.mode != "flags":
        if "plateau" in (spec.schedules or ()):
            raise InvalidSpec(NEEDS_METRIC, field="space.schedules.plateau")
        names = [kind for kind in names if kind != "plateau"]
    if spec.schedules is None and script.mode == "inject":
        names.append(SCRIPT)
    return {kind: given.get(kind, {}) for kind in names}


def _named(
    said: Iterable[str] | None, known: Mapping[str, list[str]] | None, part: str, preset: Sequence[str]
) -> list[str]:
    if said is None:
        usual = [kind for kind in preset if known is None or kind in known]
        return usual or list(known or ())
    for kind in said:
        if kind == SCRIPT and part == "optimizers":
            raise InvalidSpec("in this mode the optimizer is searched: name those to try", field=f"space.{part}.script")
        if known is not None and kind not in known and kind != SCRIPT:
            raise InvalidSpec(f"the script does not know {kind}: {', '.join(known)}", field=f"space.{part}.{kind}")
    return list(said)


def _preset(spec: SpaceSpec, budget_trials: int) -> Preset:
    if spec.preset not in PRESETS:
        raise InvalidSpec(f"there is no preset {spec.preset!r}: {', '.join(PRESETS)}", field="space.preset")
    return PRESETS[spec.preset](budget_trials)


def _own_lr(script: OfferedScript) -> FloatRange:
    said = _said_lr(script)
    if said is not None:
        return said
    if script.initial_lr is None:
        raise InvalidSpec("the script's own LR is not known: give its range", field="space.optimizers.script.lr")
    low, high = (float(f"{script.initial_lr * factor:.12g}") for factor in LR_FACTORS_SEARCHED)
    return FloatRange(low=low, high=high, log=True)


def _said_lr(script: OfferedScript) -> FloatRange | None:
    if script.lr_low is None or script.lr_high is None:
        return None
    return FloatRange(low=script.lr_low, high=script.lr_high, log=True)


def _cut(space: Space, script: OfferedScript, spec: SpaceSpec) -> Space:
    """Leave out the ranges of what cannot be set; refuse those that the study itself gives."""
    if script.mode == "inject":
        return space
    return Space(
        optimizers=_settable("optimizers", space.optimizers, script.optimizers, spec.optimizers, always=("lr",)),
        schedules=_settable("schedules", space.schedules, script.schedules, spec.schedules),
        warmup=_modifier("warmup", space.warmup, script.warmup, spec.warmup),
        restarts=_modifier("restarts", space.restarts, script.restarts, spec.restarts),
    )


def _settable(
    part: str, ranges: Mapping[str, Ranges], open_: Mapping[str, list[str]] | None, said: object,
    always: Sequence[str] = (),
) -> dict[str, Ranges]:  # fmt: skip
    if open_ is None:
        return dict(ranges)
    given = said if isinstance(said, dict) else {}
    for kind, own in given.items():
        for name in own:
            if name not in (*open_[kind], *always):
                raise InvalidSpec("no flag carries this parameter to the script", field=f"space.{part}.{kind}.{name}")
    return {
        kind: {name: range_ for name, range_ in own.items() if name in (*open_[kind], *always)}
        for kind, own in ranges.items()
    }


def _modifier(part: str, ranges: Ranges, settable: list[str] | None, said: object) -> Ranges:
    if settable is None:
        return ranges
    if said and not settable:
        raise InvalidSpec(f"the script makes no {part}", field=f"space.{part}")
    return {name: range_ for name, range_ in ranges.items() if name in settable}
