"""What the OpenAPI document says beyond its routes: who may ask, and how one operation leads to the next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from threading import Lock
from typing import Any, NamedTuple

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute

from .scopes import OPEN, scope_of
from .sessions import COOKIE

Operation = dict[str, Any]

SCHEMES: dict[str, Any] = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "description": "A token with the scope that is named, or `admin`; a store that never had one asks for none",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": COOKIE,
        "description": "What a browser gets from `/login`: it reads, and submits where that was asked for",
    },
}
OF_SESSIONS = ("read", "submit")
"""Scopes that a session may have."""


class Link(NamedTuple):
    """One operation whose answer says how to call another; `$...` are OpenAPI's runtime expressions."""

    source: str
    status: str
    target: str
    parameters: Mapping[str, str] = {}
    body: Any = None


STUDY = {"name": "$response.body#/name"}
SAME = {"name": "$request.path.name"}
SAME_TRIAL = SAME | {"number": "$request.path.number"}
LEASED = {"name": "$response.body#/items/0/study", "number": "$response.body#/items/0/number"}
LEASE = {"lease": "$response.body#/items/0/lease"}
HELD = {f"{field}": f"$response.body#/items/0/{field}" for field in ("study", "number", "lease")}
BY_ITS_WORKER = {"worker": "$request.body#/worker", "items": [HELD]}
LINKS = (
    *(Link("submit_study", "201", target, STUDY) for target in (
        "show_study", "change_study", "remove_study", "ask", "show_trials", "show_events", "show_answer",
        "show_report", "add_history", "show_history", "show_importance",
    )),
    Link("change_study", "200", "show_study", STUDY),
    Link("change_study", "200", "remove_study", STUDY),
    Link("ask", "200", "show_trial", LEASED),
    Link("ask", "200", "report_one", LEASED, LEASE),
    Link("ask", "200", "finish_one", LEASED, LEASE),
    Link("claim", "200", "show_trial", LEASED),
    *(Link("claim", "200", verb, body=BY_ITS_WORKER) for verb in ("renew", "report", "finish", "release")),
    Link("report_one", "200", "report_one", SAME_TRIAL, {"lease": "$request.body#/lease"}),
    Link("report_one", "200", "finish_one", SAME_TRIAL, {"lease": "$request.body#/lease"}),
    *(Link("finish_one", "200", target, SAME_TRIAL) for target in ("show_trial",)),
    *(Link("finish_one", "200", target, SAME) for target in (
        "show_study", "show_answer", "show_curve", "show_code", "remove_study",
    )),
    *(Link("create_recurrence", "201", target, {"name": "$response.body#/name"}) for target in (
        "show_recurrence", "change_recurrence", "remove_recurrence", "run_now", "show_runs", "show_page",
    )),
    Link("run_now", "201", "show_runs", SAME),
    Link("run_now", "201", "remove_recurrence", SAME),
    Link("make_token", "201", "remove_token", {"name": "$response.body#/name"}),
)  # fmt: skip
"""From submitting to the answer, and from making to taking away, in the document's own terms."""


class Described(FastAPI):
    """An application whose OpenAPI document names the scopes and links its operations."""

    _making = Lock()

    def setup(self) -> None:
        """Serve the document, and from a thread: to make it takes over a second, in which others are to be answered."""

        def show_document(_request: Request) -> JSONResponse:
            return JSONResponse(self.openapi())

        self.add_route("/openapi.json", show_document, include_in_schema=False)

    def openapi(self) -> dict[str, Any]:
        """Return the document; it is made once, and again where routes have come."""
        with self._making:
            document = super().openapi()
            if "securitySchemes" not in document["components"]:
                document["components"]["securitySchemes"] = SCHEMES
                for method, path, operation in _operations(document):
                    operation["security"] = security_of(method, path)
                _link({operation["operationId"]: operation for _, _, operation in _operations(document)})
            return document


def name_of(route: APIRoute) -> str:
    """Name an operation as its function is named: what generated clients call it."""
    return route.name


def security_of(method: str, path: str) -> list[dict[str, list[str]]]:
    """Say what may be shown for a request, in OpenAPI's terms; one of the list will do.

    >>> security_of("GET", "/v1/studies"), security_of("GET", "/healthz")
    ([{'token': ['read']}, {'session': ['read']}], [])
    """
    if path in OPEN:
        return []
    scope = scope_of(method, path)
    return [{kind: [scope]} for kind in ("token", "session") if kind == "token" or scope in OF_SESSIONS]


def _operations(document: Operation) -> Iterator[tuple[str, str, Operation]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def _link(operations: Mapping[str, Operation]) -> None:
    for link in LINKS:
        said: Operation = {"operationId": operations[link.target]["operationId"]}
        said |= {"parameters": dict(link.parameters)} if link.parameters else {}
        said |= {"requestBody": link.body} if link.body is not None else {}
        operations[link.source]["responses"][link.status].setdefault("links", {})[link.target] = said
