"""Formulas as text: parsed against a whitelist and compiled to numpy, never evaluated as Python.

    formula  = number | name | formula op formula | -formula | f(formula, ...) | comparison, and / or / not
    op       = + - * / // % **
    f        = min max (two or more), exp log sqrt cos sin tanh floor (one), where (condition, then, else)

A comparison is 1 where it holds and 0 where it does not. All numbers are float64.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Mapping
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Values = Mapping[str, Floats]
Compiled = Callable[[Values], Floats]

LONGEST = 500
"""Characters of a formula."""
DEEPEST = 40
"""Levels of nesting of a formula."""
MOST_NODES = 250
"""Numbers, names and operations of a formula."""

CONSTANTS: Mapping[str, float] = {"pi": float(np.pi)}

_ONE: Mapping[str, Callable[[Floats], Floats]] = {
    "exp": np.exp, "log": np.log, "sqrt": np.sqrt, "cos": np.cos, "sin": np.sin, "tanh": np.tanh, "floor": np.floor,
}  # fmt: skip
_MANY: Mapping[str, Callable[[Floats, Floats], Floats]] = {"min": np.minimum, "max": np.maximum}
_BINARY: Mapping[type[ast.operator], Callable[[Floats, Floats], Floats]] = {
    ast.Add: np.add, ast.Sub: np.subtract, ast.Mult: np.multiply, ast.Div: np.true_divide,
    ast.FloorDiv: np.floor_divide, ast.Mod: np.mod, ast.Pow: np.power,
}  # fmt: skip
_COMPARE: Mapping[type[ast.cmpop], Callable[[Floats, Floats], NDArray[np.bool_]]] = {
    ast.Lt: np.less, ast.LtE: np.less_equal, ast.Gt: np.greater, ast.GtE: np.greater_equal,
    ast.Eq: np.equal, ast.NotEq: np.not_equal,
}  # fmt: skip

FUNCTIONS = frozenset({*_ONE, *_MANY, "where"})


class Expression:
    """A formula that has been understood; `names` are the variables that it uses."""

    def __init__(self, formula: str) -> None:
        """Parse and compile.

        Raises:
            ValueError: the formula is too long or too deep, or holds something that is not of the language.
        """
        self.names: set[str] = set()
        self._compiled = self._compile(_parsed(formula))

    def __call__(self, values: Values) -> Floats:
        """Evaluate at arrays of one shape by name; what is undefined there comes out as nan or inf, silently."""
        shape = np.broadcast_shapes(*(np.shape(value) for value in values.values()))
        with np.errstate(all="ignore"):
            return np.array(np.broadcast_to(self._compiled(values), shape), dtype=np.float64)

    def _compile(self, node: ast.expr) -> Compiled:
        by_type: dict[type[ast.expr], Callable[[Any], Compiled]] = {
            ast.Constant: _constant, ast.Name: self._name, ast.UnaryOp: self._unary, ast.BinOp: self._binary,
            ast.BoolOp: self._bool, ast.Compare: self._comparison, ast.Call: self._call,
        }  # fmt: skip
        if type(node) not in by_type:
            raise _foreign(node)
        return by_type[type(node)](node)

    def _name(self, node: ast.Name) -> Compiled:
        name = node.id
        if name in CONSTANTS:
            value = np.asarray(CONSTANTS[name])
            return lambda _values: value
        if name in FUNCTIONS:
            raise ValueError(f"{name} is a function: write {name}(...)")
        self.names.add(name)
        return lambda values: values[name]

    def _unary(self, node: ast.UnaryOp) -> Compiled:
        operand = self._compile(node.operand)
        if isinstance(node.op, ast.USub):
            return lambda values: np.negative(operand(values))
        if isinstance(node.op, ast.Not):
            return lambda values: np.asarray(operand(values) == 0, dtype=np.float64)
        if isinstance(node.op, ast.UAdd):
            return operand
        raise _foreign(node)

    def _binary(self, node: ast.BinOp) -> Compiled:
        if type(node.op) not in _BINARY:
            raise _foreign(node)
        return _applied(_BINARY[type(node.op)], [self._compile(node.left), self._compile(node.right)])

    def _bool(self, node: ast.BoolOp) -> Compiled:
        combine = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
        parts = [self._compile(value) for value in node.values]
        return lambda values: np.asarray(reduce(combine, [part(values) != 0 for part in parts]), dtype=np.float64)

    def _comparison(self, node: ast.Compare) -> Compiled:
        if len(node.ops) != 1 or type(node.ops[0]) not in _COMPARE:
            raise ValueError(f"compare two values at a time with < <= > >= == !=: {ast.unparse(node)}")
        compare = _COMPARE[type(node.ops[0])]
        left, right = self._compile(node.left), self._compile(node.comparators[0])
        return lambda values: compare(left(values), right(values)).astype(np.float64)

    def _call(self, node: ast.Call) -> Compiled:
        if not isinstance(node.func, ast.Name) or node.keywords:
            raise _foreign(node)
        name, args = node.func.id, [self._compile(arg) for arg in node.args]
        if name in _ONE:
            _check_count(name, args, "one value", len(args) == 1)
            return lambda values: _ONE[name](args[0](values))
        if name in _MANY:
            _check_count(name, args, "two or more values", len(args) >= 2)
            return _applied(_MANY[name], args)
        if name == "where":
            _check_count(name, args, "a condition and two values", len(args) == 3)
            return lambda values: np.where(args[0](values) != 0, args[1](values), args[2](values))
        raise ValueError(f"unknown function {name}: known are {', '.join(sorted(FUNCTIONS))}")


def check_variable(name: str) -> None:
    """Raise ValueError unless `name` can be a variable of one's own."""
    if not (name.isascii() and name.isidentifier()):
        raise ValueError(f"{name!r} is not a name of letters, digits and underscores")
    if name in CONSTANTS or name in FUNCTIONS:
        raise ValueError(f"{name} has a meaning already")


def check_names(expression: Expression, known: Collection[str]) -> None:
    """Raise ValueError if the expression uses a name that has no value."""
    unknown = sorted(expression.names - set(known))
    if unknown:
        raise ValueError(f"unknown name {unknown[0]}: known are {', '.join(sorted(known))}")


def _parsed(formula: str) -> ast.expr:
    if len(formula) > LONGEST:
        raise ValueError(f"the formula is longer than {LONGEST} characters")
    try:
        tree = ast.parse(formula.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else "too deeply nested"
        raise ValueError(f"the formula cannot be read: {reason}") from None
    if sum(1 for _ in ast.walk(tree)) > 2 * MOST_NODES:
        raise ValueError(f"the formula has more than {MOST_NODES} parts")
    if _depth(tree) > DEEPEST:
        raise ValueError(f"the formula is nested more than {DEEPEST} levels deep")
    return tree


def _depth(tree: ast.expr) -> int:
    """Return the levels of nesting, counted level by level: recursion could itself go too deep."""
    level: list[ast.AST] = [tree]
    depth = 0
    while level:
        level = [child for node in level for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]
        depth += 1
    return depth


def _constant(node: ast.Constant) -> Compiled:
    # bool is a subclass of int, but True is no number here.
    if type(node.value) not in (int, float):
        raise ValueError(f"{node.value!r} is not a number")
    try:
        value = np.asarray(float(ast.literal_eval(node)))
    except OverflowError:
        raise ValueError("a number is too large") from None
    return lambda _values: value


def _check_count(name: str, args: list[Compiled], wanted: str, right: bool) -> None:
    if not right:
        raise ValueError(f"{name} takes {wanted}, not {len(args)}")


def _applied(function: Callable[[Floats, Floats], Floats], parts: list[Compiled]) -> Compiled:
    return lambda values: reduce(function, [part(values) for part in parts])


def _foreign(node: ast.expr) -> ValueError:
    hint = ""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitXor):
        hint = " (a power is written **)"
    elif isinstance(node, ast.IfExp):
        hint = " (write where(condition, then, else))"
    return ValueError(f"not part of the formula language: {ast.unparse(node)}{hint}")
