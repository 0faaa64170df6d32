"""Ranges of searched parameters, in the three forms that Optuna's distributions have."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from .model import Finite, Model

Scalar = bool | int | float | str | None


class FloatRange(Model):
    """Real numbers in [low, high]; `log` spreads them evenly in the logarithm, `one_minus` in log(1 - x)."""

    low: Finite
    high: Finite
    log: bool = False
    one_minus: bool = False

    @model_validator(mode="after")
    def _in_order(self) -> FloatRange:
        if self.low > self.high:
            raise ValueError(f"low {self.low} is above high {self.high}")
        if self.log and self.low <= 0:
            raise ValueError("a log range starts above 0")
        if self.one_minus and self.high >= 1:
            raise ValueError("a one_minus range ends below 1")
        if self.log and self.one_minus:
            raise ValueError("log and one_minus exclude each other")
        return self

    def holds(self, value: Any) -> bool:
        """Tell whether `value` is a point of this range (with room for rounding)."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        slack = 1e-9 * max(abs(self.low), abs(self.high))
        return self.low - slack <= value <= self.high + slack

    def at_edge(self, value: Any) -> bool:
        """Tell whether `value` lies within 2 % of an end of the range, on the range's own scale."""
        import math

        def place(x: float) -> float:
            return math.log(x) if self.log else math.log1p(-x) if self.one_minus else x

        low, high = sorted((place(self.low), place(self.high)))
        return high > low and not 0.02 < (place(value) - low) / (high - low) < 0.98


class IntRange(Model):
    """Whole numbers in [low, high]."""

    low: int
    high: int
    integer: Annotated[bool, Field()] = True

    @model_validator(mode="after")
    def _in_order(self) -> IntRange:
        if self.low > self.high:
            raise ValueError(f"low {self.low} is above high {self.high}")
        return self

    def holds(self, value: Any) -> bool:
        """Tell whether `value` is a point of this range."""
        return isinstance(value, int) and not isinstance(value, bool) and self.low <= value <= self.high

    def at_edge(self, value: Any) -> bool:
        """Tell whether `value` is an end of the range."""
        return self.high > self.low and value in (self.low, self.high)


class Choice(Model):
    """One of a few values, in an order that never changes within a study."""

    choices: Annotated[list[Scalar], Field(min_length=1)]

    def holds(self, value: Any) -> bool:
        """Tell whether `value` is one of the choices."""
        return any(type(value) is type(choice) and value == choice for choice in self.choices) or (
            isinstance(value, float | int) and not isinstance(value, bool)
            and any(isinstance(c, float | int) and not isinstance(c, bool) and c == value for c in self.choices)
        )

    def at_edge(self, _value: Any) -> bool:
        """A choice has no edge."""
        return False


AnyRange = FloatRange | IntRange | Choice
