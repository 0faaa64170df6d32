"""The HTTP surface as the service describes it: what DESIGN promises is there, and the client calls nothing else."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from search_spaces.schedules import FAMILIES
from service.scopes import OPEN, scope_of
from tests.machine import ROOT, started

PROMISED = [
    "post /v1/studies",
    "get /v1/studies",
    "get /v1/studies/{name}",
    "patch /v1/studies/{name}",
    "delete /v1/studies/{name}",
    "get /v1/studies/{name}/trials",
    "get /v1/studies/{name}/trials/{number}",
    "get /v1/studies/{name}/events",
    "get /",
    "get /v1/studies/{name}/report",
    "get /v1/studies/{name}/best",
    "get /v1/studies/{name}/best/curve",
    "get /v1/studies/{name}/best/curve.svg",
    "get /v1/studies/{name}/best/curve.csv",
    "get /v1/studies/{name}/best/code",
    "get /v1/schedules",
    "get /v1/schedules/{kind}",
    "get /v1/optimizers",
    "get /v1/presets",
    "get /v1/tasks",
    "post /v1/studies/{name}/trials",
    "post /v1/studies/{name}/history",
    "get /v1/studies/{name}/history",
    "post /v1/studies/{name}/trials/{number}/reports",
    "put /v1/studies/{name}/trials/{number}/result",
    "post /v1/work/claim",
    "post /v1/work/renew",
    "post /v1/work/report",
    "post /v1/work/finish",
    "post /v1/work/release",
    "put /v1/workers/{worker}",
    "get /v1/workers",
    "post /v1/schedules/preview",
    "get /healthz",
    "get /readyz",
    "get /metrics",
]


@pytest.fixture(scope="module")
def surface(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The document that a started service serves."""
    with started(tmp_path_factory.mktemp("openapi")) as machine:
        answer = httpx.get(f"{machine.settings.url}/openapi.json", trust_env=False, timeout=60)
        assert httpx.get(f"{machine.settings.url}/docs", trust_env=False).is_success
    return answer.raise_for_status().json()


@pytest.mark.parametrize("route", PROMISED)
def test_a_promised_route_is_described(surface: dict[str, Any], route: str) -> None:
    """Method and path are in the document, with a summary that a person can read."""
    method, path = route.split()

    operation = surface["paths"][path][method]

    assert operation["summary"]
    assert operation["description"]


def test_refusals_are_described_as_problem_documents(surface: dict[str, Any]) -> None:
    """A client generator learns what an error looks like."""
    responses = surface["paths"]["/v1/studies/{name}"]["get"]["responses"]

    assert any("application/problem+json" in response.get("content", {}) for response in responses.values())


def test_what_a_study_may_hold_is_described(surface: dict[str, Any]) -> None:
    """`current` is a candidate, with its optimizer and its schedule by kind, and not any object."""
    schemas = surface["components"]["schemas"]
    body = surface["paths"]["/v1/studies"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    study = schemas[body["$ref"].rpartition("/")[2]]

    [candidate] = [form["$ref"] for form in study["properties"]["current"]["anyOf"] if "$ref" in form]
    schedule = schemas[candidate.rpartition("/")[2]]["properties"]["schedule"]

    assert set(schedule["discriminator"]["mapping"]) == set(FAMILIES)


def test_the_client_calls_described_paths_only(surface: dict[str, Any]) -> None:
    """Every path that the client's source spells starts one that the service describes."""
    sources = "".join((ROOT / "etude" / name).read_text() for name in ("client.py", "work.py", "http.py"))
    spelt = set(re.findall(r"\"(/(?:v1|readyz)[\w/.]*)", sources))

    assert spelt
    assert [path for path in spelt if not any(known.startswith(path.rstrip("/")) for known in surface["paths"])] == []


def test_each_operation_says_which_scope_it_needs(surface: dict[str, Any]) -> None:
    """As the table of scopes has it; what probes ask needs none."""
    operations = [
        (path, method, said) for path, methods in surface["paths"].items() for method, said in methods.items()
    ]

    for path, method, said in operations:
        scopes = {scope for shown in said["security"] for needed in shown.values() for scope in needed}
        assert scopes == (set() if path in OPEN else {scope_of(method.upper(), path)}), (method, path)
    assert set(surface["components"]["securitySchemes"]) == {"token", "session"}


def test_links_lead_to_described_operations_and_fill_their_paths(surface: dict[str, Any]) -> None:
    """Each names an operation that there is, and says what stands at every place of its path."""
    operations = {
        said["operationId"]: (path, said) for path, methods in surface["paths"].items() for said in methods.values()
    }
    links = [
        link
        for _, said in operations.values()
        for response in said["responses"].values()
        for link in response.get("links", {}).values()
    ]

    assert len(links) > 30
    for link in links:
        path, _ = operations[link["operationId"]]
        assert set(link.get("parameters", {})) == set(re.findall(r"{(\w+)}", path)), link
