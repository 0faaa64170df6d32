"""Walks along the links of the OpenAPI document: each operation is asked with what the answer before has said.

Schemathesis makes the requests and holds the answers against the document; chance chooses among the links, by a seed.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from schemathesis.core import NOT_SET
from schemathesis.core.failures import FailureGroup
from schemathesis.generation.case import Case
from schemathesis.schemas import APIOperation, BaseSchema

from tests.fuzzing import LIKELY, Found

STARTS = ("submit_study", "claim", "submit_study", "create_recurrence", "submit_study", "make_token")
"""In turn: most walks begin with a study."""
LONGEST = 7
"""Operations of one walk."""
HELD_TRIAL = {"reports": [{"step": 10, "value": 0.5}]}
BODIES: dict[str, dict[str, Any]] = LIKELY | {
    "POST /v1/work/claim": {
        "worker": "walker",
        "tasks": [{"name": "nothing", "version": "1"}, {"name": "external", "version": "1"}],
    },
    "POST /v1/work/report": {"items": [HELD_TRIAL]},
    "POST /v1/work/finish": {"items": [HELD_TRIAL | {"state": "complete", "value": 0.4, "steps_done": 100}]},
}
"""What is added to what a link says."""
OF_LEASES = {f"POST /v1/work/{verb}" for verb in ("claim", "renew", "report", "finish", "release")} | {
    "POST /v1/studies/{name}/trials"
}
"""Their answers list trials; an empty list, or one that refuses them, is a 200 for nothing."""
Asked = tuple[str, Mapping[str, Any]]
"""An operation, and what a link says of its parameters and its body."""
Answer = tuple[Case, int, Any]
"""A request, the status and the JSON of its answer."""


def walk(
    schema: BaseSchema,
    found: Found,
    *,
    seed: int,
    least: int,
    most: int,
    attend: Callable[[str], None],
    token: str | None = None,
) -> None:
    """Walk from each start in turn, the least trodden link first, and add what became of it to what was found.

    `least` cases and until every linked operation has done what it is for, but no more than `most`. `attend` is what a
    coordinator does in a study within a second of its coming: by then there are trials to lease.
    """
    wanted = linked(schema)
    dice, numbers, trodden = random.Random(seed), itertools.count(), Counter[tuple[str, str]]()
    ahead = Counter(source for source, _ in _all_links(schema))
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    starts = [start for start in STARTS if start != "make_token" or token is not None]
    for start in itertools.cycle(starts):
        cases = found.cases["walks"]
        if cases >= most or (cases >= least and found.done >= wanted):
            return
        asked: Asked | None = (start, {})
        for _ in range(LONGEST):
            if asked is None:
                break
            answer = _ask(schema, found, asked, headers, next(numbers))
            if asked[0] == "submit_study" and answer[1] == 201:
                attend(answer[2]["name"])
            asked = _next(asked[0], answer, trodden, ahead, dice)


def _next(
    here: str, answer: Answer, trodden: Counter[tuple[str, str]], ahead: Counter[str], dice: random.Random
) -> Asked | None:
    """Return what a link asks; None where no link of the answer has what it takes: nothing was leased."""

    def worn(link: Mapping[str, Any]) -> tuple[float, float]:
        """By how much lies behind it: what leads on is to be walked more often than what ends there."""
        target = link["operationId"]
        return trodden[here, target] / (1 + ahead[target]), dice.random()

    for link in sorted(_links(answer), key=worn):
        trodden[here, link["operationId"]] += 1
        said = {key: link[key] for key in ("parameters", "requestBody") if key in link}
        try:
            return link["operationId"], _evaluated(said, answer)
        except (LookupError, TypeError):
            continue
    return None


def linked(schema: BaseSchema) -> set[str]:
    """Return the operations that walks come to, as method and path."""
    names = {*STARTS, *(target for _, target in _all_links(schema))}
    return {schema.find_operation_by_id(name).label for name in names}


def _all_links(schema: BaseSchema) -> Iterator[tuple[str, str]]:
    for methods in schema.raw_schema["paths"].values():
        for said in methods.values():
            for response in said["responses"].values():
                yield from ((said["operationId"], link["operationId"]) for link in response.get("links", {}).values())


def _ask(schema: BaseSchema, found: Found, asked: Asked, headers: dict[str, str], number: int) -> Answer:
    target, said = asked
    operation: APIOperation = schema.find_operation_by_id(target)
    body = _body(operation.label, said.get("requestBody", {}), number)
    case = operation.Case(path_parameters=dict(said.get("parameters", {})), body=body)
    if body is not NOT_SET:
        case.media_type = "application/json"
    response = case.call(headers=headers)
    found.cases["walks"] += 1
    found.answers[operation.label, response.status_code] += 1
    try:
        case.validate_response(response)
    except FailureGroup as group:
        for failure in group.exceptions:
            found.failures.setdefault((operation.label, "walk", failure.title), f"{failure}\n{case.as_curl_command()}")
    is_json = response.headers.get("content-type") == ["application/json"] and bool(response.content)
    answer = case, response.status_code, response.json() if is_json else None
    if _is_done(answer):
        found.done.add(operation.label)
    return answer


def _is_done(answer: Answer) -> bool:
    case, status, said = answer
    if status >= 300 or case.operation.label not in OF_LEASES:
        return status < 300
    return bool(said["items"]) and all(item.get("accepted", True) for item in said["items"])


def _body(label: str, linked: Mapping[str, Any], number: int) -> Any:
    body = _merged(BODIES.get(label, {}), linked)
    if label in ("POST /v1/studies", "POST /v1/recurrences", "POST /v1/tokens"):
        body["name"] = f"walk-{number}"
    if label in ("POST /v1/work/claim", "POST /v1/studies/{name}/trials", "POST /v1/recurrences/{name}/runs"):
        body["claim_id"] = f"walk-{number}"
    return body or NOT_SET


def _merged(body: Any, linked: Any) -> Any:
    if isinstance(body, Mapping) and isinstance(linked, Mapping):
        both = {key: _merged(body[key], linked[key]) for key in body.keys() & linked.keys()}
        return {**body, **linked, **both}
    if isinstance(body, list) and isinstance(linked, list):
        return [_merged(*pair) for pair in zip(body, linked, strict=True)]
    return linked


def _links(answer: Answer) -> Iterator[Mapping[str, Any]]:
    case, status, _ = answer
    responses = case.operation.definition.raw["responses"]
    yield from responses.get(str(status), {}).get("links", {}).values()


def _evaluated(value: Any, answer: Answer) -> Any:
    if isinstance(value, Mapping):
        return {key: _evaluated(inner, answer) for key, inner in value.items()}
    if isinstance(value, list):
        return [_evaluated(inner, answer) for inner in value]
    return _expressed(value, answer) if isinstance(value, str) and value.startswith("$") else value


def _expressed(expression: str, answer: Answer) -> Any:
    """Evaluate one of OpenAPI's runtime expressions, of the kinds that the document uses."""
    case, _, said = answer
    place, _, pointer = expression.partition("#/")
    if place.startswith("$request.path."):
        return case.path_parameters[place.removeprefix("$request.path.")]
    here = said if place == "$response.body" else case.body
    for part in pointer.split("/"):
        here = here[int(part)] if isinstance(here, list) else here[part]
    return here
