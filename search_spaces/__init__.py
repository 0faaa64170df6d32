"""Schedules, optimizers, spaces and specs: pure words and curves, on numpy and pydantic alone.

The names below are loaded when they are asked for: a client that only needs the error tree does not wait for the
models of every schedule. The function `describe` is in the module of that name.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .baselines import BASELINES, default_baselines, edge_allowance, plan_baselines
    from .candidate import Candidate
    from .describe import blocks, describe_schedule
    from .modifiers import Restarts, Warmup
    from .optimizers import BUILDABLE, OPTIMIZERS, AnyOptimizer
    from .presets import PRESETS
    from .problems import HorizonTooShort, InvalidSpec, Problem
    from .ranges import AnyRange, Choice, FloatRange, IntRange, Scalar
    from .schedules import (
        FAMILIES,
        AnySchedule,
        PlateauRule,
        Schedule,
        check_horizon,
        curve,
        factors,
        plateau_factors,
        rise_steps,
        warmup_steps,
    )
    from .space import Space, resolve_space
    from .study import SpaceSpec, StudySpec

__all__ = [
    "BASELINES",
    "BUILDABLE",
    "FAMILIES",
    "OPTIMIZERS",
    "PRESETS",
    "AnyOptimizer",
    "AnyRange",
    "AnySchedule",
    "Candidate",
    "Choice",
    "FloatRange",
    "HorizonTooShort",
    "IntRange",
    "InvalidSpec",
    "PlateauRule",
    "Problem",
    "Restarts",
    "Scalar",
    "Schedule",
    "Space",
    "SpaceSpec",
    "StudySpec",
    "Warmup",
    "blocks",
    "check_horizon",
    "curve",
    "default_baselines",
    "describe_schedule",
    "edge_allowance",
    "factors",
    "plan_baselines",
    "plateau_factors",
    "resolve_space",
    "rise_steps",
    "warmup_steps",
]

_HOMES = {
    "AnyOptimizer": "optimizers",
    "AnyRange": "ranges",
    "AnySchedule": "schedules",
    "BASELINES": "baselines",
    "BUILDABLE": "optimizers",
    "Candidate": "candidate",
    "Choice": "ranges",
    "FAMILIES": "schedules",
    "FloatRange": "ranges",
    "HorizonTooShort": "problems",
    "IntRange": "ranges",
    "InvalidSpec": "problems",
    "OPTIMIZERS": "optimizers",
    "PRESETS": "presets",
    "PlateauRule": "schedules",
    "Problem": "problems",
    "Restarts": "modifiers",
    "Scalar": "ranges",
    "Schedule": "schedules",
    "Space": "space",
    "SpaceSpec": "study",
    "StudySpec": "study",
    "Warmup": "modifiers",
    "blocks": "describe",
    "check_horizon": "schedules",
    "curve": "schedules",
    "default_baselines": "baselines",
    "describe_schedule": "describe",
    "edge_allowance": "baselines",
    "factors": "schedules",
    "plan_baselines": "baselines",
    "plateau_factors": "schedules",
    "resolve_space": "space",
    "rise_steps": "schedules",
    "warmup_steps": "schedules",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
