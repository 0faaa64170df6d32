"""What a script is started with: the command, its flags and its environment for one candidate."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .candidate import Candidate
from .schedules import warmup_steps
from .script_spec import TRIAL_DIRECTORY, ScriptSpec, SeedMeans
from .steps import whole_steps

SCRIPT = "script"


@dataclass(frozen=True)
class Asked:
    """What one training of a script is asked for."""

    candidate: Candidate | None
    """None: what the script does by itself."""
    horizon_steps: int | None
    seed: int | None
    trial_directory: str


def command_words(spec: ScriptSpec, asked: Asked, seed: SeedMeans | None) -> list[str]:
    """Return the words of the command: the script's own, then the candidate's flags, then the seed's."""
    place = {TRIAL_DIRECTORY: asked.trial_directory}
    words = [_filled(word, place) for word in spec.command]
    if spec.mode == "flags" and asked.candidate is not None and asked.candidate.schedule.kind != SCRIPT:
        words += flag_words(spec, asked.candidate, asked)
    if seed is not None and asked.seed is not None:
        words += [word.format(seed=asked.seed, **place) for word in shlex.split(seed.flags)]
    return words


def environment_of(spec: ScriptSpec, asked: Asked, seed: SeedMeans | None) -> dict[str, str]:
    """Return the variables that are added to the worker's own."""
    added = dict(spec.environment)
    if seed is not None and asked.seed is not None:
        added |= {name: text.format(seed=asked.seed) for name, text in seed.environment.items()}
    return added


def flag_words(spec: ScriptSpec, candidate: Candidate, asked: Asked) -> list[str]:
    """Return the words that `flags` become for a candidate.

    `{schedule}` and `{optimizer}` become what the script calls them, which may name further parameters; the text is
    split into words before numbers are put in.
    """
    kinds = {
        "schedule": (spec.schedules or {}).get(candidate.schedule.kind, candidate.schedule.kind),
        "optimizer": (spec.optimizers or {}).get(candidate.optimizer.kind, candidate.optimizer.kind),
    }
    template = spec.flags
    for name, text in kinds.items():
        template = template.replace(f"{{{name}}}", text)
    values = template_values(candidate, asked)
    return [word.format(**values) for word in shlex.split(template)]


def template_values(candidate: Candidate, asked: Asked) -> dict[str, Any]:
    """Return what a template may name, for a candidate: lengths as fractions of T and, with `_steps`, in updates."""
    optimizer, schedule, horizon = candidate.optimizer, candidate.schedule, asked.horizon_steps or 1
    values: dict[str, Any] = _plain(optimizer.model_dump(exclude={"kind"}))
    values |= _plain(schedule.model_dump(exclude={"kind", "warmup", "restarts", "reverse"}))
    for name in schedule.lengths:
        length = getattr(schedule, name)
        shares = length if isinstance(length, list) else [length]
        values[f"{name}_steps"] = ",".join(str(whole_steps(share, horizon)) for share in shares)
    warmup, restarts = schedule.warmup, schedule.restarts
    return values | {
        "initial_lr": candidate.initial_lr, "horizon_steps": horizon, "seed": asked.seed,
        TRIAL_DIRECTORY: asked.trial_directory,
        "schedule": schedule.kind, "optimizer": optimizer.kind,
        "warmup_steps": warmup_steps(schedule, horizon),
        "warmup_fraction": warmup.fraction if warmup else 0.0,
        "warmup_start_factor": warmup.start_factor if warmup else 0.0,
        "warmup_shape": warmup.shape if warmup else "linear",
        "restarts_count": restarts.count if restarts else 1,
        "restarts_length_multiplier": restarts.length_multiplier if restarts else 1.0,
        "restarts_peak_gamma": restarts.peak_gamma if restarts else 1.0,
    }  # fmt: skip


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Write lists as a command line has them."""
    return {
        name: ",".join(str(one) for one in value) if isinstance(value, list) else value
        for name, value in values.items()
    }


def _filled(word: str, place: Mapping[str, str]) -> str:
    # Only our own name: any other brace of the command is the user's.
    for name, value in place.items():
        word = word.replace(f"{{{name}}}", value)
    return word
