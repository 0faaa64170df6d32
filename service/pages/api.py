"""The page of the API at /docs: what the OpenAPI document says, as text that loads and runs nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

from ..scopes import OPEN, scope_of

Schema = Mapping[str, Any]
BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


@dataclass(frozen=True)
class Parameter:
    """A parameter of an operation, or a field of a model."""

    name: str
    place: str
    """path, query, header; of a field: its default, or that it is required."""
    kind: Markup
    text: str


@dataclass(frozen=True)
class Operation:
    """One method of one path."""

    method: str
    path: str
    scope: str | None
    """What a token needs for it; None where none is needed."""
    text: str
    parameters: list[Parameter]
    body: Markup | None
    answers: list[tuple[str, Markup]]


@dataclass(frozen=True)
class Model:
    """One object of the JSON that is sent or answered; without fields it is what `kind` says."""

    name: str
    text: str
    kind: Markup
    fields: list[Parameter]


def operations_of(document: Schema) -> dict[str, list[Operation]]:
    """Return the operations of an OpenAPI document by their tags."""
    found: dict[str, list[Operation]] = {}
    for path, methods in document["paths"].items():
        for method, said in methods.items():
            found.setdefault(said.get("tags", ["other"])[0], []).append(_operation(method.upper(), path, said))
    return found


def models_of(document: Schema) -> list[Model]:
    """Return the models of an OpenAPI document, by name."""
    return [_model(name, schema) for name, schema in sorted(document["components"]["schemas"].items())]


def _operation(method: str, path: str, said: Schema) -> Operation:
    return Operation(
        method=method,
        path=path,
        scope=None if path in OPEN else scope_of(method, path),
        text=said.get("description", said["summary"]),
        parameters=[
            Parameter(one["name"], one["in"], _kind(one["schema"]), one.get("description", ""))
            for one in said.get("parameters", [])
        ],
        body=_content(said["requestBody"]) if "requestBody" in said else None,
        answers=[(status, _content(answer)) for status, answer in sorted(said["responses"].items())],
    )


def _model(name: str, schema: Schema) -> Model:
    required = schema.get("required", ())
    fields = [
        Parameter(field, _default(inner, needed=field in required), _kind(inner), inner.get("description", ""))
        for field, inner in schema.get("properties", {}).items()
    ]
    return Model(name, schema.get("description", ""), _kind(schema), fields)


def _default(schema: Schema, *, needed: bool) -> str:
    if needed:
        return "required"
    return json.dumps(schema["default"], ensure_ascii=False) if "default" in schema else ""


def _content(said: Schema) -> Markup:
    kinds = [
        _kind(body.get("schema", {})) if media == "application/json" else escape(media)
        for media, body in said.get("content", {}).items()
    ]
    return Markup(", ").join(kinds) or Markup("nothing")


def _kind(schema: Schema) -> Markup:
    """Say in a few words what a value may be, with links to models."""
    if "$ref" in schema:
        return Markup('<a href="#{0}">{0}</a>').format(str(schema["$ref"]).rpartition("/")[2])
    forms = schema.get("anyOf") or schema.get("oneOf")
    if forms:
        return Markup(" or ").join(dict.fromkeys(_kind(form) for form in forms))
    if schema.get("type") == "array":
        return Markup("list of {}").format(_kind(schema.get("items", {})))
    if "enum" in schema or "const" in schema:
        return escape(" or ".join(json.dumps(value) for value in schema.get("enum", [schema.get("const")])))
    return escape(schema.get("format") or schema.get("type", "any value")) + _bounds(schema)


def _bounds(schema: Schema) -> str:
    found = [f"{sign} {schema[key]:.10g}" for key, sign in BOUNDS.items() if key in schema]
    return f" ({', '.join(found)})" if found else ""
