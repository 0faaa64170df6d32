"""A target: the search asks in how few updates a metric gets there, and every value of the study is in steps.

A training's schedule is drawn whole for its own horizon, and what counts is the metric at its end: no curve is cut.
"""

from __future__ import annotations

from typing import Literal

from .model import Finite, Model
from .ranges import AnyRange, FloatRange
from .steps import whole_steps

LEAST_FRACTION = 0.1
"""Of T: the shortest horizon that is tried."""
FRACTION: dict[str, AnyRange] = {"fraction": FloatRange(low=LEAST_FRACTION, high=1.0, log=True)}
"""What a search for the fewest steps draws beside the candidate: its horizon, as a fraction of T."""


class Target(Model):
    """The value of a metric that is to be reached in as few steps as can be, within T."""

    metric: str
    direction: Literal["minimize", "maximize"]
    """Of the metric; the steps to it are always to minimize."""
    value: Finite
    horizon_steps: int
    """T."""

    @property
    def words(self) -> str:
        """The target as people write it.

        >>> Target(metric="accuracy", direction="maximize", value=0.9, horizon_steps=100).words
        'accuracy >= 0.9'
        """
        return f"{self.metric} {'<=' if self.direction == 'minimize' else '>='} {self.value:g}"

    @property
    def unit(self) -> str:
        """What the study's values are."""
        return f"steps to {self.words}"

    @property
    def least_steps(self) -> int:
        """The shortest horizon that is tried."""
        return whole_steps(LEAST_FRACTION, self.horizon_steps)

    def shortfall(self, reached: float) -> float:
        """Return by how much a metric misses the target, in the metric's unit; 0 or below where it is reached."""
        return reached - self.value if self.direction == "minimize" else self.value - reached

    def score(self, reached: float, steps: int) -> float:
        """Return the value of a training over `steps` whose metric ended at `reached`, in steps.

        One that reached the target counts its steps, less a part of one step by how far it went beyond: of trainings
        over one horizon the better one is first. One that missed it counts T and up to T more, by its shortfall.

        >>> target = Target(metric="loss", direction="minimize", value=0.5, horizon_steps=100)
        >>> target.score(0.5, 40), target.score(1.0, 40), target.score(1.5, 40) > target.score(1.0, 80)
        (40.0, 150.0, True)
        """
        short = self.shortfall(reached)
        share = abs(short) / (abs(short) + (abs(self.value) or 1.0))
        return steps - share if short <= 0 else self.horizon_steps * (1 + share)


def reported_direction(target: Target | None, direction: str | None) -> Literal["minimize", "maximize"]:
    """Return the direction of the metric that trainings report, which a plateau follows; `direction` is of values.

    >>> reported_direction(Target(metric="accuracy", direction="maximize", value=1, horizon_steps=9), "minimize")
    'maximize'
    """
    return "maximize" if (direction if target is None else target.direction) == "maximize" else "minimize"


__all__ = ["FRACTION", "LEAST_FRACTION", "Target", "reported_direction"]
