"""Every operation of the OpenAPI document asked by schemathesis: what is allowed, what is not, and in odd orders.

`fuzz` takes one application through the phases that are asked for and returns what was found. A case is one request
with its answer; each is held against the document (status, media type, schema, headers) and may not be a 5xx.
"""

from __future__ import annotations

import copy
import json
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import schemathesis
from fastapi import FastAPI
from schemathesis import engine
from schemathesis.checks import CheckContext
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import Failure
from schemathesis.core.transport import Response
from schemathesis.engine import events
from schemathesis.engine.recorder import ScenarioRecorder
from schemathesis.generation import GenerationMode
from schemathesis.generation.case import Case
from schemathesis.schemas import BaseSchema

from tests.nights import TEMPLATE
from tests.peopled import NAMES, OUTSIDE_STUDY

HERE = "http://127.0.0.1"
PHASES = ("coverage", "fuzzing", "stateful")
KEPT = ("keeper", "environment")
"""Names of tokens that no case may revoke: without them all the others would be refused."""
REFUSED = ["2xx", "3xx", "401", "403", "404", "409", "413", "422", "429"]
"""What a body that fits its schema may be answered: fields may contradict one another, which no schema says."""
CANDIDATE = {"optimizer": {"kind": "adamw"}, "initial_lr": 0.01, "schedule": {"kind": "cosine"}}
LIKELY: dict[str, dict[str, Any]] = {
    "POST /v1/studies": OUTSIDE_STUDY,
    "PATCH /v1/studies/{name}": {"priority": 3},
    "POST /v1/studies/{name}/trials": {"count": 2, "claim_id": "mine"},
    "POST /v1/studies/{name}/trials/{number}/reports": {"lease": "none", "reports": [{"step": 10, "value": 0.5}]},
    "PUT /v1/studies/{name}/trials/{number}/result": {"lease": "none", "state": "complete", "value": 0.4},
    "POST /v1/studies/{name}/history": {"trials": [{"candidate": CANDIDATE, "value": 0.5, "horizon_steps": 100}]},
    "POST /v1/schedules/preview": {"schedule": {"kind": "cosine"}, "initial_lr": 0.1, "total_steps": 20},
    "POST /v1/recurrences": {"name": "weekly", "cron": "@weekly", "template": TEMPLATE},
    "PATCH /v1/recurrences/{name}": {"paused": True},
    "POST /v1/recurrences/{name}/runs": {"claim_id": "now"},
    "POST /v1/tokens": {"name": "another", "scopes": ["read", "work"]},
}
"""Bodies that mean something, which nobody would find by chance."""
Failed = tuple[str, str, str]
"""Operation, check and title."""


@dataclass(frozen=True)
class Asking:
    """How much is asked, and how."""

    seed: int = 0
    """0: the same cases at every time."""
    examples: int = 1
    """Of every operation, allowed or not."""
    chains: int = 1
    """Of operations in odd orders."""
    phases: tuple[str, ...] = PHASES
    token: str | None = None
    """Every request shows it, and that all are refused without one is checked, too; without one the service asks for
    none, and the routes of tokens are left out: the first token would put the fuzzing itself out of the door."""
    url: str = HERE
    """Where it is served; by default it is called in this process."""


@dataclass
class Found:
    """What became of a fuzzing."""

    cases: Counter[str] = field(default_factory=Counter)
    """Requests with their answers, by phase."""
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    """How often an operation was answered with a status."""
    done: set[str] = field(default_factory=set)
    """Operations that did what they are for: not merely answered, but with a trial leased or its item accepted."""
    failures: dict[Failed, str] = field(default_factory=dict)
    """The first example of each, as text."""
    errors: list[str] = field(default_factory=list)
    """What kept schemathesis from asking."""

    @property
    def operations(self) -> set[str]:
        """Operations that were asked."""
        return {operation for operation, _ in self.answers}

    def text(self) -> str:
        """Write the failures for a person who has to mend them."""
        shown = [f"{' / '.join(failed)}\n{example}" for failed, example in sorted(self.failures.items())]
        return "\n\n".join([*self.errors, *shown])

    def add(self, event: events.ScenarioFinished) -> None:
        """Count what a scenario did."""
        recorder = event.recorder
        self.cases[event.phase.value] += len(recorder.interactions)
        for key, interaction in recorder.interactions.items():
            if interaction.response is not None:
                self.answers[recorder.cases[key].value.operation.label, interaction.response.status_code] += 1
        for failed, example in _failures(recorder):
            self.failures.setdefault(failed, example)


def schema_of(app: FastAPI, asking: Asking) -> BaseSchema:
    """Return the application's document as schemathesis sees it."""
    document = copy.deepcopy(app.openapi())  # schemathesis adds links of its own to what it is given
    document = document if asking.token is not None else _open_to_all(document)
    schema = schemathesis.openapi.from_dict(document, config=_settings(asking))
    schema.app = app if asking.url == HERE else None
    schema.hook(filter_case)
    schema.hook(map_case)
    return schema


def operations_of(app: FastAPI) -> set[str]:
    """Return every operation of the document, as method and path."""
    return {f"{method.upper()} {path}" for path, methods in app.openapi()["paths"].items() for method in methods}


def fuzz(app: FastAPI, asking: Asking) -> Found:
    """Ask every operation, one by one and in odd orders."""
    found = Found()
    for event in engine.from_schema(schema_of(app, asking)).execute():
        if isinstance(event, events.ScenarioFinished):
            found.add(event)
        elif isinstance(event, events.NonFatalError):
            found.errors.append(f"{event.label}: {event.info.format()}")
        elif isinstance(event, events.FatalError):
            raise event.exception
    return found


def filter_case(_context: object, case: Case) -> bool:
    """Leave out what would put the fuzzing itself out of the door."""
    path = case.path_parameters or {}
    return not (case.path == "/v1/tokens/{name}" and path.get("name") in KEPT)


def map_case(_context: object, case: Case) -> Case:
    """Make what would fit the schema and mean nothing, at half of the times, into what is served.

    By the body alone, so that the same case is the same at every time; a name stays, and a link's values come after.
    """
    likely = LIKELY.get(case.operation.label)
    if likely is None or not _fits(case) or not isinstance(case.body, dict):
        return case
    if zlib.crc32(json.dumps(case.body, sort_keys=True).encode()) % 2:
        kept = {name: case.body[name] for name in ("name", "claim_id") if name in case.body}
        case.body = {**likely, **kept}
    return case


def _fits(case: Case) -> bool:
    return case.meta is not None and case.meta.generation.mode is GenerationMode.POSITIVE


@schemathesis.check
def a_problem_says_its_status(_context: CheckContext, response: Response, _case: Case) -> None:
    """RFC 9457: `status` is that of the answer; every refusal has an id that its log line has, too."""
    kind = response.headers.get("content-type", [""])[0]
    if kind != "application/problem+json":
        return
    problem = json.loads(response.content)
    if problem["status"] != response.status_code:
        raise Failure(operation=_case.operation.label, title="Another status", message=str(problem))


def _open_to_all(document: dict[str, Any]) -> dict[str, Any]:
    """Return the document of a service without tokens: it asks for none, and no case may make the first one."""
    paths = {
        path: {method: {**operation, "security": []} for method, operation in methods.items()}
        for path, methods in document["paths"].items()
        if not path.startswith("/v1/tokens")
    }
    return {**document, "paths": paths}


def _settings(asking: Asking) -> SchemathesisConfig:
    written: dict[str, Any] = {
        "seed": asking.seed,
        "base-url": asking.url,
        "request-timeout": 60,
        "max-stream-events": 1,  # a second one comes only when something changes
        "generation": {
            "max-examples": asking.examples,
            "database": "none",
            "no-shrink": True,
            "deterministic": asking.seed == 0,
        },
        "phases": {
            "examples": {"enabled": False},  # the document has none
            "coverage": {"enabled": "coverage" in asking.phases},
            "fuzzing": {"enabled": "fuzzing" in asking.phases},
            "stateful": {"enabled": "stateful" in asking.phases, "generation": {"max-examples": asking.chains}},
        },
        "checks": {
            "positive_data_acceptance": {"expected-statuses": REFUSED},
            "ignored_auth": {"enabled": asking.token is not None},
        },
        "dictionaries": {"names": {"values": list(NAMES)}},
        "parameters": {"path.name": {"dictionary": "names", "probability": 0.5}},
    }
    if asking.token is not None:
        written["headers"] = {"Authorization": f"Bearer {asking.token}"}
    return SchemathesisConfig.from_dict(written)


def _failures(recorder: ScenarioRecorder) -> Iterator[tuple[Failed, str]]:
    for key, checks in recorder.checks.items():
        operation = recorder.cases[key].value.operation.label
        for checked in checks:
            if checked.failure_info is not None:
                failure = checked.failure_info.failure
                response = recorder.interactions[key].response if key in recorder.interactions else None
                answered = "" if response is None else f"{response.status_code} {response.content[:500]!r}"
                example = f"{failure.message[:1000]}\n{checked.failure_info.code_sample[:1500]}\n{answered}"
                yield (operation, checked.name, failure.title), example
