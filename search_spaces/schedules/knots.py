"""`knots`: a free curve through given points."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, field_validator, model_validator

from ..ranges import AnyRange, FloatRange, Scalar
from ..searched import numbered, numbers, refuse
from .base import Factor, Floats, Schedule, Share, Steps, percent
from .interpolation import through_line

SEARCHED = 3
"""Free knots of a search, behind a first one at (0, 1)."""


class Knots(Schedule):
    """f goes through (positions[i], values[i]) on straight lines, and stays at its first and last value outside.

    positions: places u = t / T in [0, 1], not falling; two at one place are a jump, and the later holds there.
    values: multiples of the initial LR, one a position.
    interpolation: `linear`, or `log` (straight in the logarithm; values above 0).

    >>> Knots(positions=[0, 0.5], values=[1, 0.2]).body(np.arange(4), 4).tolist()
    [1.0, 0.6, 0.2, 0.2]

    Searched as `position_i` and `value_i` behind a first knot at (0, 1), the positions drawn in any order.
    """

    kind: Literal["knots"] = "knots"
    positions: Annotated[list[Share], Field(min_length=1, max_length=1000)]
    values: Annotated[list[Factor], Field(min_length=1, max_length=1000)]
    interpolation: Literal["linear", "log"] = "linear"

    law = "through (positions[i], values[i])"
    source = "what LambdaLR with an interpolated table is used for"
    also = ("LambdaLR", "piecewise_interpolate_schedule")
    lengths = ("positions",)
    unsearched = Schedule.unsearched | {"positions", "values"}
    ranges: ClassVar[Mapping[str, AnyRange]] = {
        **numbered("position", FloatRange(low=0.05, high=1.0, log=False), SEARCHED),
        **numbered("value", FloatRange(low=1e-3, high=1.0, log=True), SEARCHED),
    }

    @field_validator("positions")
    @classmethod
    def _not_falling(cls, positions: list[float]) -> list[float]:
        if sorted(positions) != positions:
            raise ValueError("positions must rise")
        return positions

    @model_validator(mode="after")
    def _values_fit(self) -> Knots:
        if len(self.values) != len(self.positions):
            raise refuse("values", f"{len(self.positions)} positions need as many values")
        if self.interpolation == "log" and min(self.values) <= 0:
            raise refuse("values", "interpolation in the logarithm needs values above 0")
        return self

    def body(self, t: Steps, horizon: int) -> Floats:
        """Return the curve through the knots."""
        u = np.asarray(t / horizon, dtype=np.float64)
        positions, values = np.array(self.positions), np.array(self.values)
        if self.interpolation == "linear":
            return through_line(u, positions, values)
        return np.asarray(np.exp(through_line(u, positions, np.log(values))))

    def phrase(self) -> str:
        """Say every knot."""
        pairs = zip(self.values, self.positions, strict=True)
        return "through " + ", ".join(f"{value:.3g} at {percent(position)}" for value, position in pairs)

    @classmethod
    def from_params(cls, params: Mapping[str, Scalar]) -> Self:
        """Put the drawn knots, sorted by position, behind the first one."""
        count = sum(name.startswith("position_") for name in params)
        document = {name: value for name, value in params.items() if name == "interpolation"}
        positions = [0.0, *sorted(numbers(params, "position", count))]
        values = [1.0, *numbers(params, "value", count)]
        return cls.model_validate({"kind": "knots", "positions": positions, "values": values, **document})

    def to_params(self) -> dict[str, Any]:
        """Return the knots behind the first one under the names of the search."""
        positions = {f"position_{i}": position for i, position in enumerate(self.positions[1:], 1)}
        values = {f"value_{i}": value for i, value in enumerate(self.values[1:], 1)}
        return {**positions, **values, "interpolation": self.interpolation}
