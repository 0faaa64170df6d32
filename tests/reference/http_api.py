"""The routes as the service's OpenAPI document describes them, with the models that they read and answer."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

from search_spaces.problems import PROBLEMS
from service.app import create_app
from service.settings import Settings
from store import Store

Schema = Mapping[str, Any]
HEAD = """## HTTP

A running service serves this as `/openapi.json`, and as pages at `/docs`. [http.md](http.md) goes through a whole
search with curl."""


def http_sections() -> Iterator[str]:
    """Yield routes, problem codes, and models."""
    # Describing touches no store.
    document = create_app(cast(Store, None), Settings()).openapi()
    models = document["components"]["schemas"]
    yield HEAD
    named: dict[str, None] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield "\n\n".join(_route(method.upper(), path, operation))
            named |= dict.fromkeys(_models_in(operation))
    yield _problems()
    yield "## Models"
    for name in sorted(_reached(named, models)):
        yield _model(name, models[name])


def _route(method: str, path: str, operation: Schema) -> Iterator[str]:
    yield f"### {method} {path}"
    yield _flat(operation.get("description", operation["summary"]))
    given = [_parameter(one) for one in operation.get("parameters", []) if one["in"] != "path"]
    if given:
        yield "\n".join(given)
    lines = [f"- body: {_content(operation['requestBody'])}"] if "requestBody" in operation else []
    lines += [
        f"- answers {status}: {_content(answer)}"
        for status, answer in sorted(operation["responses"].items())
        if status not in ("4XX", "5XX")
    ]
    yield "\n".join([*lines, *(["- refuses with a [problem](#problems)"] if "4XX" in operation["responses"] else [])])


def _parameter(given: Schema) -> str:
    text = _flat(given.get("description", ""))
    return f"- {given['in']} `{given['name']}`: {_type(given['schema'])}" + (f". {text}" if text else "")


def _content(said: Schema) -> str:
    kinds = [
        f"{_type(body.get('schema', {}))}" + ("" if kind == "application/json" else f" as `{kind}`")
        for kind, body in said.get("content", {}).items()
    ]
    return ", ".join(kinds) or "nothing"


def _type(schema: Schema) -> str:
    """Say in a few words what a value may be."""
    if "$ref" in schema:
        name = _named(schema)
        return f"[{name}](#{name.lower()})"
    if "discriminator" in schema:
        return "an object by its `" + schema["discriminator"]["propertyName"] + "`"
    forms = schema.get("anyOf") or schema.get("oneOf")
    if forms:
        return " or ".join(dict.fromkeys(_type(form) for form in forms))
    return _plain(schema)


def _plain(schema: Schema) -> str:
    if "enum" in schema or "const" in schema:
        return " or ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if isinstance(schema.get("additionalProperties"), dict) and schema["additionalProperties"]:
        return f"object of {_type(schema['additionalProperties'])}"
    return str(schema.get("format") or schema.get("type", "any value")) + _bounds(schema)


def _bounds(schema: Schema) -> str:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    found = [f"{sign} {schema[key]:.10g}" for key, sign in signs.items() if key in schema]
    return f" ({', '.join(found)})" if found else ""


def _model(name: str, schema: Schema) -> str:
    lines = [f"### {name}", "", _flat(schema.get("description", "")), ""]
    if "properties" not in schema:
        return "\n".join([*lines, _type(schema)])
    lines += ["| field | what it is | default |", "|---|---|---|"]
    for field, inner in schema["properties"].items():
        words = ". ".join(filter(None, [_type(inner), _flat(inner.get("description", ""))]))
        lines.append(f"| `{field}` | {_in_table(words)} | {_default(field, inner, schema)} |")
    return "\n".join(lines)


def _default(field: str, inner: Schema, schema: Schema) -> str:
    if field in schema.get("required", ()):
        return "required"
    return f"`{_in_table(json.dumps(inner['default'], ensure_ascii=False))}`" if "default" in inner else ""


def _in_table(text: str) -> str:
    return text.replace("|", "\\|")


def _problems() -> str:
    head = (
        "## Problems\n\nEvery refusal is a problem document (RFC 9457) with one of these codes; `field` names what it"
    )
    rows = [
        f"| `{code}` | {problem.status} | `etude.errors.{problem.__name__}` | {_flat(problem.__doc__ or '')} |"
        for code, problem in PROBLEMS.items()
    ]
    return "\n".join([f"{head} is about.", "", "| code | status | class | meaning |", "|---|---|---|---|", *rows])


def _reached(first: Mapping[str, None], models: Mapping[str, Schema]) -> set[str]:
    found: set[str] = set()
    waiting = list(first)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _models_in(models[name])
    return found


def _models_in(value: Any) -> Iterator[str]:
    """Go through references; the kinds of optimizers and schedules are left to the gallery and the catalogue."""
    if isinstance(value, Mapping) and "discriminator" not in value:
        if "$ref" in value:
            yield _named(value)
        for inner in value.values():
            yield from _models_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _models_in(inner)


def _named(schema: Schema) -> str:
    return str(schema["$ref"]).rpartition("/")[2]


def _flat(text: str) -> str:
    return " ".join(text.split())
