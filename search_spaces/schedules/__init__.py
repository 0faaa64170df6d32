"""The schedule families by `kind`, and the functions that turn any of them into numbers.

A new family is a file (spec, curve, ranges, source) and its name in `AnySchedule`.
"""

from __future__ import annotations

from typing import Annotated, get_args

from pydantic import Field

from .base import Schedule, Shortfall
from .constant import Constant
from .cosine import Cosine
from .curve import check_horizon, curve, factors, rise_steps, warmup_steps
from .exponential import Exponential
from .linear import Linear
from .multistep import Multistep
from .one_cycle import OneCycle
from .plateau import Plateau, PlateauRule, plateau_factors
from .rex import Rex
from .step import Step
from .wsd import Wsd

_Kinds = Constant | Step | Multistep | Exponential | Linear | Cosine | OneCycle | Wsd | Rex | Plateau

AnySchedule = Annotated[_Kinds, Field(discriminator="kind")]
"""A schedule of any family, told apart by `kind`."""

FAMILIES: dict[str, type[Schedule]] = {cls.model_fields["kind"].default: cls for cls in get_args(_Kinds)}
"""Every family by its kind, in the catalogue's order: that of the choices in a search, which never changes."""

__all__ = [
    "FAMILIES",
    "AnySchedule",
    "Constant",
    "Cosine",
    "Exponential",
    "Linear",
    "Multistep",
    "OneCycle",
    "Plateau",
    "PlateauRule",
    "Rex",
    "Schedule",
    "Shortfall",
    "Step",
    "Wsd",
    "check_horizon",
    "curve",
    "factors",
    "plateau_factors",
    "rise_steps",
    "warmup_steps",
]
