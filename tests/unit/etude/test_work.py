"""The verbs over HTTP: addresses, bodies, and what each failure is raised as."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx
import pytest

from etude.work import HttpVerbs
from search_spaces.problems import InvalidSpec, Problem, StoreUnavailable, Unsupported
from search_spaces.work import (
    Announcement,
    ClaimRequest,
    FinishItem,
    FinishRequest,
    Held,
    ReleaseItem,
    ReleaseRequest,
    RenewRequest,
    Report,
    ReportItem,
    ReportRequest,
    TaskVersion,
)

CANDIDATE = {"optimizer": {"kind": "sgd"}, "initial_lr": 0.1, "schedule": {"kind": "cosine"}}
TRIAL = {
    "study": "s", "number": 3, "lease": "L", "lease_expires_at": "2026-01-01T00:00:00Z", "candidate": CANDIDATE,
    "task": {"name": "t", "version": "1"}, "horizon_steps": 10, "rungs": [5], "seed": 1, "purpose": "search",
}  # fmt: skip
HELD = {"study": "s", "number": 3, "lease": "L"}


class Service:
    """Answers every request alike, and keeps what it was asked."""

    def __init__(self, answer: Callable[[], httpx.Response]) -> None:
        self.answer = answer
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self.answer()


def speaking_to(answer: Callable[[], httpx.Response]) -> tuple[HttpVerbs, Service]:
    """Return the verbs and the service behind them."""
    service = Service(answer)
    return HttpVerbs("http://etude.test", "secret", transport=httpx.MockTransport(service)), service


def accepting() -> httpx.Response:
    """Answer as to an accepted item that is to be pruned."""
    item = {"study": "s", "number": 3, "accepted": True, "directive": "prune", "new_field": 1}
    return httpx.Response(200, json={"items": [item]})


def test_claim() -> None:
    """A claim is posted with its id and comes back as trials; fields of a newer service are passed over."""
    verbs, service = speaking_to(lambda: httpx.Response(200, json={"items": [TRIAL | {"novelty": 1}]}))

    request = ClaimRequest(worker="w", claim_id="c", tasks=[TaskVersion(name="t", version="1")], count=2)
    answer = verbs.claim(request)

    assert answer.items[0].candidate.initial_lr == 0.1
    assert (service.requests[0].method, service.requests[0].url.path) == ("POST", "/v1/work/claim")
    assert service.requests[0].headers["authorization"] == "Bearer secret"
    assert json.loads(service.requests[0].content)["claim_id"] == "c"


def test_the_other_verbs() -> None:
    """Renew, report, finish and release are posted to their addresses and answer an item each."""
    verbs, service = speaking_to(accepting)

    answers = [
        verbs.renew(RenewRequest(worker="w", items=[Held.model_validate(HELD)])),
        verbs.report(ReportRequest(worker="w", items=[ReportItem.model_validate(HELD)])),
        verbs.finish(FinishRequest(worker="w", items=[FinishItem.model_validate(HELD | {"state": "failed"})])),
        verbs.release(ReleaseRequest(worker="w", items=[ReleaseItem.model_validate(HELD)])),
    ]

    paths = [request.url.path for request in service.requests]
    assert paths == [f"/v1/work/{verb}" for verb in ("renew", "report", "finish", "release")]
    assert all(answer.items[0].directive == "prune" for answer in answers)


def test_announce() -> None:
    """A worker is put under its name, whatever characters that has."""
    verbs, service = speaking_to(lambda: httpx.Response(200, json={}))

    verbs.announce("host/a b", Announcement(slots=2))

    assert service.requests[0].method == "PUT"
    assert service.requests[0].url.raw_path == b"/v1/workers/host%2Fa%20b"
    assert json.loads(service.requests[0].content)["slots"] == 2


def test_numbers_that_json_cannot_write() -> None:
    """NaN and the infinities travel as strings."""
    verbs, service = speaking_to(accepting)
    values = [float("nan"), float("inf"), float("-inf")]
    reports = [Report(step=step, value=value) for step, value in enumerate(values)]

    verbs.report(ReportRequest(worker="w", items=[ReportItem.model_validate(HELD | {"reports": reports})]))

    sent = json.loads(service.requests[0].content)["items"][0]["reports"]
    assert [report["value"].lower().replace("infinity", "inf") for report in sent] == ["nan", "inf", "-inf"]


def problem(status: int, code: str) -> httpx.Response:
    """Answer with problem+json."""
    headers = {"content-type": "application/problem+json"}
    return httpx.Response(status, json={"code": code, "detail": "so", "field": "f"}, headers=headers)


@pytest.mark.parametrize(
    "answer",
    [
        lambda: problem(503, "store_unavailable"),
        lambda: problem(500, "internal_error"),
        lambda: httpx.Response(502, text="<html>bad gateway</html>"),
        lambda: httpx.Response(429, text="slow down"),
    ],
    ids=["503", "500", "gateway", "429"],
)
def test_what_is_worth_repeating(answer: Callable[[], httpx.Response]) -> None:
    """A failing or overloaded service is StoreUnavailable, after one attempt: the loop decides when to repeat."""
    verbs, service = speaking_to(answer)

    with pytest.raises(StoreUnavailable):
        verbs.renew(RenewRequest(worker="w", items=[]))

    assert len(service.requests) == 1


@pytest.mark.parametrize("error", [httpx.ConnectError, httpx.ReadTimeout, httpx.RemoteProtocolError])
def test_a_lost_connection(error: type[httpx.TransportError]) -> None:
    """No answer is StoreUnavailable and says whom it was asked of."""

    def lost() -> httpx.Response:
        raise error("gone")

    verbs, _ = speaking_to(lost)

    with pytest.raises(StoreUnavailable, match=r"etude\.test"):
        verbs.renew(RenewRequest(worker="w", items=[]))


@pytest.mark.parametrize(
    ("status", "code", "kind"), [(422, "invalid_spec", InvalidSpec), (501, "unsupported", Unsupported)]
)
def test_what_is_not(status: int, code: str, kind: type[Problem]) -> None:
    """What repeating cannot cure is raised as the class that its code names, with the field."""
    verbs, _ = speaking_to(lambda: problem(status, code))

    with pytest.raises(kind) as caught:
        verbs.renew(RenewRequest(worker="w", items=[]))

    assert caught.value.field == "f"
