"""The formula language: what it computes, and that it computes nothing else."""

from __future__ import annotations

import math

import numpy as np
import pytest

from search_spaces.expression import Expression
from search_spaces.modifiers import Restarts
from search_spaces.problems import InvalidSpec
from search_spaces.schedules import FormulaSchedule, check_horizon, curve

X = np.array([0.0, 0.5, 2.0, 3.7])


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("1 + 2 * 3 - 4 / 5", [2 * 3 + 1 - 0.8] * 4),
        ("2 ** 3 ** 2", [512] * 4),
        ("-x ** 2", [-(x**2) for x in X]),
        ("7 // 2 + 7 % 4", [6] * 4),
        ("+x", X),
        ("min(x, 1)", [0, 0.5, 1, 1]),
        ("max(x, 1, 3)", [3, 3, 3, 3.7]),
        ("exp(x) * log(2) + sqrt(x)", [math.exp(x) * math.log(2) + math.sqrt(x) for x in X]),
        ("cos(pi * x) + sin(x) + tanh(x)", [math.cos(math.pi * x) + math.sin(x) + math.tanh(x) for x in X]),
        ("floor(x)", [0, 0, 2, 3]),
        ("where(x < 1, 10, 20)", [10, 10, 20, 20]),
        ("where(x >= 0.5 and x != 2, 1, 0)", [0, 1, 0, 1]),
        ("where(x == 0 or not x > 3, 1, 0)", [1, 1, 1, 0]),
        ("(x > 1) + (x <= 0.5)", [1, 1, 1, 1]),
        ("1e-2 * 0x10", [0.16] * 4),
    ],
)
def test_a_formula_computes_what_it_says(formula: str, expected: list[float]) -> None:
    """Operators, functions and comparisons on whole arrays, with Python's precedence."""
    values = Expression(formula)({"x": X})

    np.testing.assert_allclose(values, expected, rtol=1e-14)


@pytest.mark.parametrize(
    ("formula", "why"),
    [
        ("__import__('os').system('true')", "not part"),
        ("().__class__", "not part"),
        ("x.real", "not part"),
        ("x[0]", "not part"),
        ("[1, 2]", "not part"),
        ("lambda: 1", "not part"),
        ("(y := 1)", "not part"),
        ("[y for y in (1, 2)]", "not part"),
        ("f'{x}'", "not part"),
        ("'text'", "not a number"),
        ("True", "not a number"),
        ("None", "not a number"),
        ("1j", "not a number"),
        ("1 if x else 2", "where"),
        ("x ^ 2", r"\*\*"),
        ("x << 2", "not part"),
        ("~x", "not part"),
        ("0 < x < 1", "two values at a time"),
        ("x in x", "two values at a time"),
        ("eval(x)", "unknown function eval"),
        ("exp(x, x)", "one value"),
        ("min(x)", "two or more"),
        ("where(x, 1)", "a condition and two values"),
        ("exp(x=1)", "not part"),
        ("min(*x)", "not part"),
        ("exp", "is a function"),
        ("1 +", "cannot be read"),
        ("x; x", "cannot be read"),
        ("x = 1", "cannot be read"),
        ("1\x00", "cannot be read"),
        ("x" * 501, "longer than"),
        ("-" * 60 + "x", "levels deep"),
        ("(" * 240 + "x" + ")" * 240, "cannot be read"),
        ("9" * 400 + "0", "too large"),
    ],
)
def test_nothing_else_is_understood(formula: str, why: str) -> None:
    """What is not of the language is refused while it is read, with the reason."""
    with pytest.raises(ValueError, match=why):
        Expression(formula)


def test_a_bomb_is_only_a_number() -> None:
    """Powers are floating point: a tower of them is infinite at once, and not computed digit by digit."""
    values = Expression("9 ** 9 ** 9 ** 9")({"x": X})

    assert np.isinf(values).all()


@pytest.mark.parametrize("formula", ["u - 0.5", "log(u)", "1 / u", "sqrt(u - 2)", "where(u > 0.9, -1, 1)"])
def test_a_value_that_cannot_be_an_lr_is_found_along_the_curve(formula: str) -> None:
    """A negative or undefined value anywhere in the horizon is an error of the formula when it is submitted."""
    schedule = FormulaSchedule(formula=formula)

    with pytest.raises(InvalidSpec, match="at step") as caught:
        check_horizon(schedule, 50)

    assert caught.value.field == "formula"


def test_a_formula_knows_the_step_and_the_horizon() -> None:
    """t, T and u are those of the body: within a cycle, the cycle's own."""
    schedule = FormulaSchedule(formula="t + T + u", restarts=Restarts(count=2))

    assert curve(schedule, 4).tolist() == [2, 3.5, 2, 3.5]


def test_named_numbers_have_their_values() -> None:
    """Further names in the formula are given beside it."""
    schedule = FormulaSchedule(formula="a * u + b", numbers={"a": 2.0, "b": 1.0})

    assert curve(schedule, 2).tolist() == [1, 2]


@pytest.mark.parametrize("name", ["t", "pi", "exp", "a b", "", "é", "1a"])
def test_a_name_with_a_meaning_is_refused(name: str) -> None:
    """A number of one's own is called by a new name of plain letters."""
    with pytest.raises(ValueError, match=r"meaning already|not a name"):
        FormulaSchedule(formula="1", numbers={name: 1.0})
