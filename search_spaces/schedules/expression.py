"""`expression`: a formula of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field, field_validator, model_validator

from ..expression import CONSTANTS, LONGEST, Expression, check_names, check_variable
from ..model import Finite
from ..problems import InvalidSpec
from ..ranges import Scalar
from ..searched import refuse
from .base import Floats, Schedule, Steps

OF_THE_CURVE = ("t", "T", "u")
"""What a formula knows without being told: the step, the horizon, and u = t / T."""

_compiled = lru_cache(maxsize=256)(Expression)


class FormulaSchedule(Schedule):
    """f(t) is the formula, over t, T, u = t / T and named numbers.

    formula: operators + - * / // % **, comparisons with and, or, not; min, max, exp, log, sqrt, cos, sin, tanh,
        floor, where(condition, then, else); pi. It is parsed, never evaluated as Python.
    numbers: the values of further names in the formula; a space may give each of them a range.

    >>> FormulaSchedule(formula="max(1 - u / a, 0)", numbers={"a": 0.5}).body(np.arange(4), 4).tolist()
    [1.0, 0.5, 0.0, 0.0]

    A value below 0 or not finite anywhere in the horizon is an error.
    """

    kind: Literal["expression"] = "expression"
    formula: Annotated[str, Field(min_length=1, max_length=LONGEST)]
    numbers: Annotated[dict[str, Finite], Field(max_length=20)] = {}

    law = "the formula"
    source = "what LambdaLR is used for"
    also = ("LambdaDecay", "LambdaLR", "MultiplicativeDecay by its product")
    along_the_curve = True
    unsearched = Schedule.unsearched | {"numbers"}

    @field_validator("formula")
    @classmethod
    def _understood(cls, formula: str) -> str:
        _compiled(formula)
        return formula

    @field_validator("numbers")
    @classmethod
    def _named(cls, numbers: dict[str, float]) -> dict[str, float]:
        for name in numbers:
            check_variable(name)
            if name in OF_THE_CURVE:
                raise ValueError(f"{name} has a meaning already")
        return numbers

    @model_validator(mode="after")
    def _every_name_has_a_value(self) -> FormulaSchedule:
        expression = _compiled(self.formula)
        try:
            check_names(expression, [*OF_THE_CURVE, *CONSTANTS, *self.numbers])
        except ValueError as error:
            raise refuse("formula", str(error)) from None
        unused = sorted(set(self.numbers) - expression.names)
        if unused:
            raise refuse(f"numbers.{unused[0]}", "the formula does not use it")
        return self

    def body(self, t: Steps, horizon: int) -> Floats:
        """Return the formula's values.

        Raises:
            InvalidSpec: one of them is below 0 or not finite (field `formula`).
        """
        step = np.asarray(t, dtype=np.float64)
        known = {"t": step, "T": np.asarray(float(horizon)), "u": np.asarray(step / horizon)}
        values = _compiled(self.formula)(known | {name: np.asarray(value) for name, value in self.numbers.items()})
        wrong = ~(np.isfinite(values) & (values >= 0))
        if wrong.any():
            first = int(np.argmax(wrong))
            raise InvalidSpec(f"at step {t[first]} of {horizon} it gives {values[first]:g}", field="formula")
        return values

    @classmethod
    def knows(cls, name: str) -> bool:
        """Tell that any name may be one of the formula's own numbers."""
        return name not in cls.unsearched and name not in OF_THE_CURVE

    @classmethod
    def from_params(cls, params: Mapping[str, Scalar]) -> Self:
        """Take everything but the formula for its numbers."""
        numbers = {name: value for name, value in params.items() if name != "formula"}
        return cls.model_validate({"kind": "expression", "formula": params.get("formula"), "numbers": numbers})

    def to_params(self) -> dict[str, Any]:
        """Return the formula and its numbers by name."""
        return {"formula": self.formula, **self.numbers}

    def phrase(self) -> str:
        """Say the formula with its numbers."""
        given = ", ".join(f"{name} = {value:.4g}" for name, value in self.numbers.items())
        return f"f = {self.formula}" + (f" with {given}" if given else "")
