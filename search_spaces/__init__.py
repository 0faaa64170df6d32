"""Schedules, optimizers, spaces and specs: pure words and curves, on numpy and pydantic alone."""

from __future__ import annotations

from .baselines import BASELINES, default_baselines, edge_allowance, plan_baselines
from .candidate import Candidate
from .describe import blocks, describe, describe_schedule
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
    "describe",
    "describe_schedule",
    "edge_allowance",
    "factors",
    "plan_baselines",
    "plateau_factors",
    "resolve_space",
    "rise_steps",
    "warmup_steps",
]
