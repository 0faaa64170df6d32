"""Constructor calls as text, understood without being evaluated: literals, arithmetic on them, names set before."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..problems import InvalidSpec

LONGEST = 20_000
"""Characters of a text."""
LARGEST = 1e18

ARITHMETIC: Mapping[type[ast.operator], Callable[[Any, Any], float]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.Pow: math.pow,
}  # fmt: skip


@dataclass(frozen=True)
class Symbol:
    """A name that the text does not set, such as `optimizer`."""

    name: str


@dataclass(frozen=True)
class Function:
    """A lambda of one variable, as formula text over `t`."""

    formula: str


@dataclass(frozen=True)
class Call:
    """`name(*args, **kwargs)`, by the last part of the name."""

    name: str
    args: list[Any] = field(default_factory=list)
    kwargs: dict[str, Any] = field(default_factory=dict)

    def bound(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return the value of every parameter: given by place or name, else its default.

        Raises:
            InvalidSpec: an argument is unknown, given twice or missing (its default is `...`), or a mere name.
        """
        if len(self.args) > len(parameters):
            raise InvalidSpec(f"{self.name} takes {len(parameters)} arguments, not {len(self.args)}", field=self.name)
        placed = dict(zip(parameters, self.args, strict=False))
        for name in self.kwargs:
            if name not in parameters:
                raise InvalidSpec(f"{self.name} has no argument {name}: {', '.join(parameters)}", field=name)
            if name in placed:
                raise InvalidSpec(f"{self.name} gets {name} twice", field=name)
        values = {**parameters, **placed, **self.kwargs}
        for name, value in values.items():
            if value is ...:
                raise InvalidSpec(f"{self.name} needs it", field=name)
            if isinstance(value, Symbol) and name != "optimizer":
                raise InvalidSpec(f"write a value for it: the text does not say what {value.name} is", field=name)
        return values


def last_call(text: str) -> Call:
    """Return the last call that a text of assignments and calls makes, names that it sets filled in.

    Raises:
        InvalidSpec: the text is no Python of literals, calls and lambdas.
    """
    if len(text) > LONGEST:
        raise InvalidSpec(f"the text is longer than {LONGEST} characters")
    try:
        return _last_call(ast.parse(text.strip()))
    except SyntaxError as error:
        raise InvalidSpec(f"the text cannot be read: {error.msg}, line {error.lineno}") from None
    except (ValueError, RecursionError, MemoryError):
        raise InvalidSpec("the text cannot be read") from None


def _last_call(tree: ast.Module) -> Call:
    reader, last = _Reader(), None
    for statement in tree.body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            continue
        if not isinstance(statement, ast.Expr | ast.Assign):
            raise InvalidSpec(f"line {statement.lineno} is neither an assignment nor a call")
        value = reader.read(statement.value)
        last = value if isinstance(value, Call) else last
        for target in statement.targets if isinstance(statement, ast.Assign) else []:
            if isinstance(target, ast.Name):
                reader.known[target.id] = value
    if last is None:
        raise InvalidSpec("there is no call in it, such as CosineAnnealingLR(optimizer, T_max=100)")
    return last


class _Reader:
    """Turns nodes into values."""

    def __init__(self) -> None:
        self.known: dict[str, Any] = {}

    def read(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=None | bool() | int() | float() | str() as value):
                read: Any = value
            case ast.Name(id=name):
                read = self.known.get(name, Symbol(name))
            case ast.Attribute():
                read = Symbol(ast.unparse(node))
            case ast.List(elts=items) | ast.Tuple(elts=items):
                read = [self.read(item) for item in items]
            case ast.Dict(keys=keys, values=values):
                read = {self.read(key): self.read(value) for key, value in zip(keys, values, strict=True) if key}
            case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=operand):
                read = self._signed(sign, self.read(operand))
            case ast.BinOp(left=left, op=symbol, right=right):
                read = _computed(symbol, self.read(left), self.read(right))
            case ast.Lambda():
                read = _function(node)
            case ast.Call():
                read = self._call(node)
            case _:
                raise InvalidSpec(f"write a value in place of {ast.unparse(node)}")
        return read

    def _signed(self, sign: ast.unaryop, value: Any) -> Any:
        number = _number(value)
        return -number if isinstance(sign, ast.USub) else number

    def _call(self, node: ast.Call) -> Any:
        name = ast.unparse(node.func).rpartition(".")[2]
        args = [self.read(arg) for arg in node.args if not isinstance(arg, ast.Starred)]
        if any(keyword.arg is None for keyword in node.keywords) or len(args) < len(node.args):
            raise InvalidSpec(f"write out what * and ** stand for in {name}")
        if name in ("parameters", "model_parameters"):
            return Symbol(name)
        return Call(name, args, {str(keyword.arg): self.read(keyword.value) for keyword in node.keywords})


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidSpec(f"write a number in place of {getattr(value, 'name', value)!r}")
    return value


def _computed(symbol: ast.operator, left: Any, right: Any) -> float:
    if type(symbol) not in ARITHMETIC:
        raise InvalidSpec("of arithmetic only + - * / // % ** are read")
    try:
        value = ARITHMETIC[type(symbol)](_number(left), _number(right))
    except (ArithmeticError, ValueError):
        raise InvalidSpec("a number in it cannot be computed") from None
    if abs(value) > LARGEST:
        raise InvalidSpec("a number in it is too large")
    return value


class _Renamed(ast.NodeTransformer):
    """A lambda's body in the words of `expression`: its variable is t, and math.cos is cos."""

    def __init__(self, variable: str) -> None:
        self._variable = variable

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name("t") if node.id == self._variable else node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        is_math = isinstance(node.value, ast.Name) and node.value.id in ("math", "np", "numpy", "torch")
        return ast.Name(node.attr) if is_math else node

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        parts: list[ast.expr] = [self.visit(part) for part in (node.test, node.body, node.orelse)]
        return ast.Call(ast.Name("where"), parts, [])


def _function(node: ast.Lambda) -> Function:
    names = [argument.arg for argument in node.args.args]
    if len(names) != 1:
        raise InvalidSpec("a lambda of one variable is read, the step")
    return Function(ast.unparse(_Renamed(names[0]).visit(node.body)))
