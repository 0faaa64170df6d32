"""The schedule families by `kind`, and the functions that turn any of them into numbers.

A new family is a file (spec, curve, ranges, source) and its name in `AnySchedule`.
"""

from __future__ import annotations

from typing import Annotated, get_args

from pydantic import Field

from .base import Schedule, Shortfall
from .constant import Constant
from .cosine import Cosine
from .curve import area_left, check_horizon, curve, factors, fits, rise_steps, warmup_steps
from .cyclic import Cyclic
from .exponential import Exponential
from .expression import FormulaSchedule
from .inverse_sqrt import InverseSqrt
from .inverse_time import InverseTime
from .knots import Knots
from .linear import Linear
from .multistep import Multistep
from .natural_exponential import NaturalExponential
from .noam import Noam
from .one_cycle import OneCycle
from .piecewise import Piecewise
from .plateau import Plateau, PlateauRule, plateau_factors
from .polynomial import Polynomial
from .power import Power
from .rex import Rex
from .script import Script
from .step import Step
from .tanh import Tanh
from .two_point import TwoPoint
from .wsd import Wsd

_Kinds = (
    Constant
    | Piecewise
    | Step
    | Multistep
    | Exponential
    | NaturalExponential
    | InverseTime
    | Linear
    | Polynomial
    | Cosine
    | Noam
    | OneCycle
    | Cyclic
    | Wsd
    | Rex
    | Tanh
    | TwoPoint
    | InverseSqrt
    | Power
    | Knots
    | FormulaSchedule
    | Plateau
    | Script
)

AnySchedule = Annotated[_Kinds, Field(discriminator="kind")]
"""A schedule of any family, told apart by `kind`."""

FAMILIES: dict[str, type[Schedule]] = {cls.model_fields["kind"].default: cls for cls in get_args(_Kinds)}
"""Every family by its kind, in the catalogue's order: that of the choices in a search, which never changes."""

__all__ = [
    "FAMILIES", "AnySchedule", "Constant", "Cosine", "Cyclic", "Exponential", "FormulaSchedule", "InverseSqrt",
    "InverseTime", "Knots", "Linear", "Multistep", "NaturalExponential", "Noam", "OneCycle", "Piecewise", "Plateau",
    "PlateauRule", "Polynomial", "Power", "Rex", "Schedule", "Script", "Shortfall", "Step", "Tanh", "TwoPoint", "Wsd",
    "area_left", "check_horizon", "curve", "factors", "fits", "plateau_factors", "rise_steps", "warmup_steps",
]  # fmt: skip
