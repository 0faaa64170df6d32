"""The base of every model that crosses a border: strict about names, honest about numbers."""

from __future__ import annotations

import json
import math
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    ValidationError,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from .descriptions import descriptions
from .problems import HorizonTooShort, InvalidSpec, Problem

_NUMBERS = frozenset({"bool", "float", "int"})
_BRANCHES = frozenset(
    {
        "schema", "items_schema", "values_schema", "choices", "fields", "steps", "definitions", "json_schema",
        "python_schema", "lax_schema", "strict_schema",
    }
)  # fmt: skip
"""Where a schema of pydantic's core holds others; not the keys of a dict, which are text in JSON."""


def _strict_numbers(schema: Any) -> Any:
    """Copy a schema of pydantic's core with every number in it strict."""
    if isinstance(schema, list | tuple):
        return type(schema)(_strict_numbers(part) for part in schema)
    if not isinstance(schema, dict):
        return schema
    copied = {key: _strict_branch(key, part) for key, part in schema.items()}
    return copied | {"strict": True} if schema.get("type") in _NUMBERS else copied


def _strict_branch(key: str, part: Any) -> Any:
    if key not in _BRANCHES:
        return part
    by_name = key in ("fields", "choices") and isinstance(part, dict)
    return {name: _strict_numbers(inner) for name, inner in part.items()} if by_name else _strict_numbers(part)


class Model(BaseModel):
    """A frozen record whose unknown fields are errors; NaN and infinities are strings in JSON.

    Numbers are numbers: neither true nor "10" is read as one, nor is 10.0 as a whole one; a whole one may stand for a
    real one. Times and the keys of objects, which JSON writes as text, are read from it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="strings")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler, /) -> CoreSchema:
        """Make the numbers of the model's fields strict."""
        strict: CoreSchema = _strict_numbers(handler(source))
        return strict

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler, /) -> JsonSchemaValue:
        """Describe each field by the text below it."""
        written = handler(schema)
        fields = handler.resolve_ref_schema(written).get("properties", {})
        for name in cls.model_fields:
            owner = next(part for part in cls.__mro__ if name in vars(part).get("__annotations__", {}))
            text = descriptions(owner).get(name)
            if text is not None and name in fields:
                fields[name].setdefault("description", text)
        return written


class Message(Model):
    """A record that another version may have written: unknown fields are passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True, ser_json_inf_nan="strings")


def _number_from_text(value: Any) -> Any:
    """Read the three numbers that JSON cannot write ("nan", "inf", "-inf"); leave the rest to pydantic."""
    names = {
        "nan": float("nan"),
        "NaN": float("nan"),
        "inf": float("inf"),
        "Infinity": float("inf"),
        "-inf": float("-inf"),
        "-Infinity": float("-inf"),
    }
    return names.get(value, value) if isinstance(value, str) else value


def _text_from_number(value: float) -> float | str:
    """Write those three as DESIGN.md spells them; pydantic alone would write "NaN" and "Infinity"."""
    return value if math.isfinite(value) else str(value)


Number = Annotated[
    float, BeforeValidator(_number_from_text), PlainSerializer(_text_from_number, when_used="json-unless-none")
]
"""A float that may be nan, inf or -inf (strings in JSON)."""

Whole = Annotated[int, Field(ge=0, le=2**31 - 1)]
"""A number of things, or of one of them, that an integer column holds."""

Seconds = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
"""A duration of at most some thirty years: sums of it stay finite."""


def _plain_json(value: dict[str, Any]) -> dict[str, Any]:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError("this has to be plain JSON, which has no NaN and no infinity") from error
    return value


JsonObject = Annotated[dict[str, Any], AfterValidator(_plain_json)]
"""An object whose fields are not ours to know, of what JSON can write and a database can hold."""

Finite = Annotated[float, Field(allow_inf_nan=False)]
Fraction = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
"""A length as a fraction of the horizon, in (0, 1]."""

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]


def field_path(location: tuple[Any, ...]) -> str:
    """Write a pydantic error location as a dotted path: ("space", "optimizers", 0) -> space.optimizers.0."""
    return ".".join(str(part) for part in location)


def problem_from_validation(error: ValidationError, prefix: str = "") -> Problem:
    """Turn pydantic's first error into the problem that names its field; all of them are in `errors`.

    A validator may raise one of our own problems as the cause: its code is kept.
    """
    rows = []
    for row in error.errors(include_url=False, include_input=False):
        cause = (row.get("ctx") or {}).get("error")
        path = field_path(tuple(part for part in (prefix, *row["loc"]) if part != ""))
        if isinstance(cause, ProblemValue) and cause.problem.field:
            path = f"{path}.{cause.problem.field}" if path else cause.problem.field
        rows.append({"field": path, "detail": row["msg"].removeprefix("Value error, "), "cause": cause})
    first = rows[0]
    listed = [{"field": row["field"], "detail": row["detail"]} for row in rows]
    cause = first["cause"]
    if isinstance(cause, ProblemValue) and isinstance(cause.problem, HorizonTooShort):
        return HorizonTooShort(cause.problem.detail, field=first["field"], least_steps=cause.problem.least_steps)
    return InvalidSpec(str(first["detail"]), field=first["field"], errors=listed)


class ProblemValue(ValueError):
    """Carries a `Problem` through a pydantic validator."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(problem.detail)
