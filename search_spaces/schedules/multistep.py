"""`multistep`: a drop by the same factor at each of a few milestones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, field_validator

from ..model import Fraction
from ..ranges import AnyRange, Choice, FloatRange, IntRange, Scalar
from ..searched import number, numbered, numbers, whole
from ..steps import whole_steps
from .base import Floats, Gamma, Schedule, Steps, percent, powers

MOST_SEARCHED = 3
"""Milestones that a search places; a spec may have more."""


class Multistep(Schedule):
    """f(t) = gamma^(number of milestones at or before t).

    milestones: fractions of the horizon T, not falling; one that is given twice counts twice, as in torch.
    gamma: what each milestone leaves of the LR.

    >>> Multistep(milestones=[0.5, 0.75], gamma=0.1).body(np.arange(4), 4).round(3).tolist()
    [1.0, 1.0, 0.1, 0.01]

    Searched as `count`, then `milestone_1` ... `milestone_{count}` in any order.
    """

    kind: Literal["multistep"] = "multistep"
    milestones: Annotated[list[Fraction], Field(min_length=1, max_length=1000)]
    gamma: Gamma = 0.1

    law = "gamma^(number of milestones <= t)"
    source = "He et al., arXiv:1512.03385"
    also = ("MultiStepLR", "MultiStepDecay")
    lengths = ("milestones",)
    unsearched = Schedule.unsearched | {"milestones"}
    ranges: ClassVar[Mapping[str, AnyRange]] = {
        "count": IntRange(low=1, high=MOST_SEARCHED),
        **numbered("milestone", FloatRange(low=0.3, high=0.95, log=False), MOST_SEARCHED),
        "gamma": Choice(choices=[0.1, 0.2, 0.3]),
    }

    @field_validator("milestones")
    @classmethod
    def _not_falling(cls, milestones: list[float]) -> list[float]:
        if sorted(milestones) != milestones:
            raise ValueError("milestones must rise")
        return milestones

    def body(self, t: Steps, horizon: int) -> Floats:
        """Return the staircase."""
        milestones = np.array([whole_steps(share, horizon) for share in self.milestones])
        return powers(self.gamma, np.searchsorted(milestones, t, side="right"))

    def phrase(self) -> str:
        """Say how far the LR drops, and where."""
        places = " and ".join(f"{percent(share)}" for share in self.milestones)
        return f"x{self.gamma:g} at {places}"

    @classmethod
    def is_active(cls, name: str, drawn: Mapping[str, Scalar]) -> bool:
        """Leave out the milestones beyond `count`."""
        return not name.startswith("milestone_") or int(name.rpartition("_")[2]) <= whole(drawn["count"])

    @classmethod
    def from_params(cls, params: Mapping[str, Scalar]) -> Self:
        """Sort the drawn milestones into a spec."""
        milestones = numbers(params, "milestone", whole(params["count"]))
        return cls(milestones=sorted(milestones), gamma=number(params["gamma"]))

    def to_params(self) -> dict[str, Any]:
        """Return count and milestones under the names of the search."""
        named = {f"milestone_{i}": share for i, share in enumerate(self.milestones, 1)}
        return {"count": len(self.milestones), **named, "gamma": self.gamma}
