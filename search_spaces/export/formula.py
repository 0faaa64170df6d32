"""A checked formula of `expression` as Python text on numpy's float64, whose infinities a plain float does not have."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import reduce

OPERATORS: Mapping[type[ast.operator], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%", ast.Pow: "**",
}  # fmt: skip
COMPARISONS: Mapping[type[ast.cmpop], str] = {
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
}  # fmt: skip
OF_TWO = {"min": "np.minimum", "max": "np.maximum"}


def numpy_text(formula: str, numbers: Mapping[str, float]) -> str:
    """Write a formula that `FormulaSchedule` has accepted, its own numbers filled in; t, T and u stay names.

    Every literal is a float64, so that no power of whole numbers grows without bound.

    >>> numpy_text("max(1 - u / a, 0)", {"a": 0.5})
    'np.maximum((F(1.0) - (u / F(0.5))), F(0.0))'
    """
    return _Writer(numbers).text(ast.parse(formula.strip(), mode="eval").body)


class _Writer:
    """Writes one node at a time; what is not of the language is a TypeError, for it was refused before."""

    def __init__(self, numbers: Mapping[str, float]) -> None:
        self._numbers = numbers

    def text(self, node: ast.expr) -> str:
        match node:
            case ast.Constant(value=int() | float() as value):
                written = _number(value)
            case ast.Name(id=name):
                written = self._name(name)
            case ast.UnaryOp(op=op, operand=operand):
                written = self._unary(op, self.text(operand))
            case ast.BinOp(left=left, op=operator, right=right):
                written = f"({self.text(left)} {OPERATORS[type(operator)]} {self.text(right)})"
            case ast.BoolOp(op=joined, values=values):
                sign = " & " if isinstance(joined, ast.And) else " | "
                written = f"F({sign.join(f'({self.text(value)} != 0)' for value in values)})"
            case ast.Compare(left=left, ops=[comparison], comparators=[right]):
                written = f"F({self.text(left)} {COMPARISONS[type(comparison)]} {self.text(right)})"
            case ast.Call(func=ast.Name(id=name), args=args):
                written = _called(name, [self.text(arg) for arg in args])
            case _:
                raise TypeError(f"not part of the formula language: {ast.unparse(node)}")
        return written

    def _name(self, name: str) -> str:
        if name == "pi":
            return "F(np.pi)"
        return _number(self._numbers[name]) if name in self._numbers else name

    def _unary(self, op: ast.unaryop, operand: str) -> str:
        if isinstance(op, ast.Not):
            return f"F({operand} == 0)"
        return f"(-{operand})" if isinstance(op, ast.USub) else operand


def _number(value: float) -> str:
    return f"F({float(value)!r})"


def _called(name: str, args: list[str]) -> str:
    if name in OF_TWO:
        return reduce(lambda left, right: f"{OF_TWO[name]}({left}, {right})", args)
    if name == "where":
        return f"F(np.where({args[0]} != 0, {args[1]}, {args[2]}))"
    return f"np.{name}({', '.join(args)})"
