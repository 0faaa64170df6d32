"""Ranges of searched parameters, in the three forms that Optuna's distributions have."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from .model import Finite, Model

Scalar = bool | int | float | str | None

EDGE_SHARE = 0.02
"""A value within this share of a range's width from one of its ends counts as lying at the edge."""


def is_number(value: Any) -> bool:
    """Tell whether `value` is an int or a float, which a bool is not meant to be."""
    return isinstance(value, int | float) and not isinstance(value, bool)


class FloatRange(Model):
    """Real numbers in [low, high]; `log` spreads them evenly in the logarithm, `one_minus` in log(1 - x).

    In an override a scale that is not given is the catalogue's; so what was left out stays out in JSON too.
    """

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

    @model_serializer(mode="wrap")
    def _without_what_was_left_out(self, handler: SerializerFunctionWrapHandler) -> dict[str, float | bool]:
        unset = {"log", "one_minus"} - self.model_fields_set
        return {name: value for name, value in handler(self).items() if name not in unset}

    @property
    def names_a_scale(self) -> bool:
        """Whether the range says itself how it is spread."""
        return bool({"log", "one_minus"} & self.model_fields_set)

    @property
    def ends(self) -> list[Scalar]:
        """The values between which every other lies."""
        return [self.low, self.high]

    def nearest(self, value: Any) -> float | None:
        """Return `value` as a point of this range, with room for rounding; None where it is outside."""
        if not is_number(value):
            return None
        slack = 1e-9 * max(abs(self.low), abs(self.high))
        inside = self.low - slack <= value <= self.high + slack
        return min(max(float(value), self.low), self.high) if inside else None

    def holds(self, value: Any) -> bool:
        """Tell whether `value` is a point of this range (with room for rounding)."""
        return self.nearest(value) is not None

    def at_edge(self, value: Any) -> bool:
        """Tell whether `value` lies within 2 % of an end of the range, on the range's own scale."""
        low, high = sorted((self._place(self.low), self._place(self.high)))
        return high > low and not EDGE_SHARE < (self._place(value) - low) / (high - low) < 1 - EDGE_SHARE

    def _place(self, value: float) -> float:
        if self.log:
            return math.log(value)
        return math.log1p(-value) if self.one_minus else value


class IntRange(Model):
    """Whole numbers in [low, high]."""

    low: int
    high: int
    integer: Literal[True] = True

    @model_validator(mode="after")
    def _in_order(self) -> IntRange:
        if self.low > self.high:
            raise ValueError(f"low {self.low} is above high {self.high}")
        return self

    @property
    def ends(self) -> list[Scalar]:
        """The values between which every other lies."""
        return [self.low, self.high]

    def nearest(self, value: Any) -> int | None:
        """Return `value` as a point of this range; None where it is none."""
        whole = isinstance(value, int) and not isinstance(value, bool)
        return value if whole and self.low <= value <= self.high else None

    def holds(self, value: Any) -> bool:
        """Tell whether `value` is a point of this range."""
        return self.nearest(value) is not None

    def at_edge(self, value: Any) -> bool:
        """Tell whether `value` is an end of the range."""
        return self.high > self.low and value in (self.low, self.high)


class Choice(Model):
    """One of a few values, in an order that never changes within a study."""

    choices: list[Scalar] = Field(min_length=1)

    @model_validator(mode="after")
    def _each_once(self) -> Choice:
        # Python's 1, 1.0 and True are equal, and so they are to Optuna.
        if len(set(self.choices)) < len(self.choices):
            raise ValueError("a choice is listed twice")
        if any(isinstance(choice, float) and not math.isfinite(choice) for choice in self.choices):
            raise ValueError("a choice is not finite")
        return self

    @property
    def ends(self) -> list[Scalar]:
        """All choices: none lies between others."""
        return list(self.choices)

    def index(self, value: Any) -> int | None:
        """Return the place of `value` among the choices, with room for rounding; None where it is none."""
        return next((i for i, choice in enumerate(self.choices) if _same(choice, value)), None)

    def nearest(self, value: Any) -> Scalar:
        """Return the choice that `value` is, with room for rounding; None where it is none."""
        place = self.index(value)
        return None if place is None else self.choices[place]

    def holds(self, value: Any) -> bool:
        """Tell whether `value` is one of the choices."""
        return self.index(value) is not None

    def at_edge(self, _value: Any) -> bool:
        """Tell that a choice has no edge."""
        return False


def _same(left: Any, right: Any) -> bool:
    if is_number(left) and is_number(right):
        return math.isclose(left, right, rel_tol=1e-9)
    return type(left) is type(right) and bool(left == right)


AnyRange = FloatRange | IntRange | Choice
