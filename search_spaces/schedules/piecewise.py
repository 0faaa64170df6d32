"""`piecewise`: explicit values between explicit boundaries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, field_validator, model_validator

from ..model import Fraction
from ..ranges import AnyRange, FloatRange, IntRange, Scalar
from ..searched import numbered, numbers, refuse, whole
from ..steps import whole_steps
from .base import Factor, Floats, Schedule, Steps, percent

MOST_SEARCHED = 3
"""Boundaries that a search places; a spec may have more."""


class Piecewise(Schedule):
    """f(t) = values[i] from boundary i on (its own step included) up to the next.

    boundaries: fractions of the horizon T, not falling; of two at one step the later holds.
    values: multiples of the initial LR, one more than boundaries.

    >>> Piecewise(boundaries=[0.5, 0.75], values=[1, 0.5, 0.1]).body(np.arange(4), 4).tolist()
    [1.0, 1.0, 0.5, 0.1]

    Searched as `count`, then `boundary_i` and `value_i`, drawn in any order; the values fall from 1.
    """

    kind: Literal["piecewise"] = "piecewise"
    boundaries: Annotated[list[Fraction], Field(min_length=1, max_length=1000)]
    values: Annotated[list[Factor], Field(min_length=2, max_length=1001)]

    law = "values[i] from boundary i on"
    source = "Paddle's PiecewiseDecay; the classical recipe"
    also = ("PiecewiseDecay", "PiecewiseConstantDecay", "piecewise_constant_schedule")
    lengths = ("boundaries",)
    unsearched = Schedule.unsearched | {"boundaries", "values"}
    ranges: ClassVar[Mapping[str, AnyRange]] = {
        "count": IntRange(low=1, high=MOST_SEARCHED),
        **numbered("boundary", FloatRange(low=0.1, high=0.95, log=False), MOST_SEARCHED),
        **numbered("value", FloatRange(low=1e-3, high=1.0, log=True), MOST_SEARCHED),
    }

    @field_validator("boundaries")
    @classmethod
    def _not_falling(cls, boundaries: list[float]) -> list[float]:
        if sorted(boundaries) != boundaries:
            raise ValueError("boundaries must rise")
        return boundaries

    @model_validator(mode="after")
    def _one_value_more(self) -> Piecewise:
        if len(self.values) != len(self.boundaries) + 1:
            raise refuse("values", f"{len(self.boundaries)} boundaries need {len(self.boundaries) + 1} values")
        return self

    def body(self, t: Steps, horizon: int) -> Floats:
        """Return the steps."""
        boundaries = np.array([whole_steps(share, horizon) for share in self.boundaries])
        return np.array(self.values, dtype=np.float64)[np.searchsorted(boundaries, t, side="right")]

    def phrase(self) -> str:
        """Say each value and where it begins."""
        later = zip(self.values[1:], self.boundaries, strict=True)
        return f"x{self.values[0]:.3g}" + "".join(f", x{value:.3g} from {percent(at)}" for value, at in later)

    @classmethod
    def is_active(cls, name: str, drawn: Mapping[str, Scalar]) -> bool:
        """Leave out what is beyond `count`."""
        return name == "count" or int(name.rpartition("_")[2]) <= whole(drawn["count"])

    @classmethod
    def from_params(cls, params: Mapping[str, Scalar]) -> Self:
        """Sort the drawn boundaries up and the drawn values down."""
        count = whole(params["count"])
        values = sorted(numbers(params, "value", count), reverse=True)
        return cls(boundaries=sorted(numbers(params, "boundary", count)), values=[1.0, *values])

    def to_params(self) -> dict[str, Any]:
        """Return count, boundaries and values under the names of the search."""
        boundaries = {f"boundary_{i}": share for i, share in enumerate(self.boundaries, 1)}
        values = {f"value_{i}": value for i, value in enumerate(self.values[1:], 1)}
        return {"count": len(self.boundaries), **boundaries, **values}
