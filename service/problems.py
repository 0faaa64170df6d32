"""Every error of the service as RFC 9457 problem+json that names the field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.routing import Route

from search_spaces.model import ProblemValue, field_path
from search_spaces.problems import HorizonTooShort, InvalidSpec, MethodNotAllowed, NotFound, Problem, TooManyRequests

Location = tuple[Any, ...]
Row = Mapping[str, Any]

NO_OBJECT = ("model_attributes_type", "model_type", "dict_type")
"""Something else stands where an object is meant."""
RANGES = ("FloatRange", "IntRange", "Choice")
"""How the last part of a place ends where a range is meant."""
RANGE_MEANT = 'a range is meant: {"low": ..., "high": ...} or {"choices": [...]}, which may hold one value'
WRONG_BRANCH = frozenset({"list_type", "dict_type", "bool_type", "none_required", "model_type"})
"""What pydantic says of the branches of a union that were not meant."""


class ProblemResponse(JSONResponse):
    """A JSON answer of the media type of RFC 9457."""

    media_type = "application/problem+json"


def install(app: FastAPI) -> None:
    """Make `app` answer every error that a route or the framework raises as a problem."""
    app.add_exception_handler(Problem, _answer_problem)
    app.add_exception_handler(RequestValidationError, _answer_validation)
    app.add_exception_handler(HTTPException, _answer_framework)


def _respond(request: Request, problem: Problem, headers: Mapping[str, str] | None = None) -> ProblemResponse:
    document = problem.document()
    request_id = getattr(request.state, "request_id", None)
    if request_id is not None:
        document["request_id"] = request_id
    return ProblemResponse(document, status_code=problem.status, headers=dict(headers or {}))


def _answer_problem(request: Request, error: Exception) -> ProblemResponse:
    assert isinstance(error, Problem)
    headers = {"Retry-After": "1"} if error.status == 503 else None
    if isinstance(error, TooManyRequests):
        headers = {"Retry-After": str(error.retry_after_seconds)}
    return _respond(request, error, headers)


def _answer_validation(request: Request, error: Exception) -> ProblemResponse:
    assert isinstance(error, RequestValidationError)
    return _respond(request, problem_from_rows(error.errors(), error.body))


def _answer_framework(request: Request, error: Exception) -> ProblemResponse:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return _respond(request, NotFound(f"there is nothing at {request.url.path}"))
    if error.status_code == 405:
        detail = f"{request.url.path} does not know {request.method}"
        return _respond(request, MethodNotAllowed(detail), {"Allow": ", ".join(_methods_at(request))})
    return _respond(request, InvalidSpec(str(error.detail)), error.headers)


def _methods_at(request: Request) -> list[str]:
    """Say what an address knows; the framework would name the methods of the first route there only.

    An address that is written out (`/v1/schedules/preview`) is not what `{kind}` in another one stands for.
    """
    path = request.scope["path"]
    known = [context.original_route for context in iter_route_contexts(request.app.routes)]
    here = [route for route in known if isinstance(route, Route) and route.path_regex.match(path)]
    written_out = [route for route in here if route.path == path]
    methods = {method for route in written_out or here for method in route.methods or ()}
    return sorted(methods | ({"HEAD"} if "GET" in methods else set()))


def problem_from_rows(rows: Sequence[Row], body: Any) -> Problem:
    """Turn pydantic's error rows on a request with this parsed `body` into the problem that names the field.

    The first row that is about what was sent decides, all of them are in `errors`; a problem that a validator
    raised keeps its code.
    """
    if any(_is_no_object(row) for row in rows):
        return InvalidSpec("the body has to be one JSON object, with Content-Type: application/json")
    placed = _meant([(_field(row, body), row) for row in rows])
    said = dict.fromkeys((field_path(place), _detail(row)) for place, row in placed)
    listed = [{"field": field, "detail": detail} for field, detail in said]
    place, row = placed[0]
    cause = (row.get("ctx") or {}).get("error")
    if isinstance(cause, ProblemValue) and isinstance(cause.problem, HorizonTooShort):
        return HorizonTooShort(cause.problem.detail, field=field_path(place), least_steps=cause.problem.least_steps)
    return InvalidSpec(listed[0]["detail"], field=listed[0]["field"], errors=listed)


def _is_no_object(row: Row) -> bool:
    if row["type"] == "json_invalid":
        return True
    return tuple(row["loc"]) == ("body",) and row["type"] in ("missing", "model_attributes_type")


def _meant(placed: list[tuple[Location, Row]]) -> list[tuple[Location, Row]]:
    """Leave out what is said of a union's other branches where one branch fits better."""
    kept = [
        (place, row)
        for place, row in placed
        if row["type"] not in WRONG_BRANCH or not any(_below(place, other) for other, _ in placed)
    ]
    return kept or placed


def _below(place: Location, other: Location) -> bool:
    return len(other) > len(place) and other[: len(place)] == place


def _field(row: Row, body: Any) -> Location:
    """Find the place in the body that a row is about.

    pydantic puts names of union branches between the keys: a part stays only where the body has it, or where
    the row says that it is missing.
    """
    outer, *inner = row["loc"] or ("body",)
    location = tuple(inner)
    if outer != "body":
        return location
    place = _walk(location, body, keep_last=row["type"] in ("missing", "extra_forbidden"))
    discriminator = (row.get("ctx") or {}).get("discriminator")
    if discriminator is not None:
        place += (str(discriminator).strip("'"),)
    cause = (row.get("ctx") or {}).get("error")
    if isinstance(cause, ProblemValue) and cause.problem.field:
        place += tuple(cause.problem.field.split("."))
    return place


def _walk(location: Location, body: Any, *, keep_last: bool) -> Location:
    if not isinstance(body, dict | list):
        return location
    place: list[Any] = []
    here = body
    for index, part in enumerate(location):
        inside = _has(here, part)
        if inside:
            here = here[part]
        if inside or (keep_last and index == len(location) - 1):
            place.append(part)
    return tuple(place)


def _has(value: Any, part: Any) -> bool:
    if isinstance(value, dict):
        return part in value
    return isinstance(value, list) and isinstance(part, int) and part < len(value)


def _detail(row: Row) -> str:
    if row["type"] == "extra_forbidden":
        return "there is no such field"
    if row["type"] == "union_tag_invalid":
        context = row["ctx"]
        return f"there is no kind {context['tag']!r}; there are {context['expected_tags']}"
    if row["type"] in ("missing", "union_tag_not_found"):
        return "this field is required"
    if row["type"] in NO_OBJECT:
        # pydantic names a branch of a union by its checks around it: function-after[_in_order(), FloatRange].
        is_range = str(row["loc"][-1]).rstrip("]").endswith(RANGES)
        return RANGE_MEANT if is_range else "an object is meant: names and values in braces"
    return str(row["msg"]).removeprefix("Value error, ")
