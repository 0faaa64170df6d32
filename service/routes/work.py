"""The five verbs over HTTP, for workers without database rights and for training loops outside our workers."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Annotated, Any, Literal, get_type_hints

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Query, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field, ValidationError

from search_spaces.model import Message, Number, Seconds, Whole, problem_from_validation
from search_spaces.problems import InvalidSpec, LeaseLost
from search_spaces.study import StudySpec
from search_spaces.work import (
    BRANCHING,
    Backlog,
    ClaimAnswer,
    ClaimRequest,
    FinishItem,
    FinishRequest,
    Held,
    ItemAnswer,
    ReleaseItem,
    ReleaseRequest,
    RenewRequest,
    Report,
    ReportItem,
    ReportRequest,
    TaskVersion,
    VerbAnswer,
    WorkerName,
)
from store.studies import get_study
from store.verbs import SqlVerbs
from store.workers import offers

from .. import deps
from ..settings import VERBS_AT_ONCE
from ..storable import may_be_unstorable

MOST_TASKS = 100
"""Whose backlog is asked for at once."""
CLAIMS_AT_ONCE = 1
"""Claims wait for one another at the study's row in any case."""


class VerbRoute(APIRoute):
    """A route that reads its model from the body's JSON and writes the answer's, with nothing in between.

    The framework's own way (JSON to objects, dependencies, model, objects, JSON) takes twice as long as the verb in
    the store. It still has every request that is not plainly right: it says what is wrong with it, and where.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request."""
        by_the_framework = super().get_route_handler()
        # What waits for its turn waits here, where it holds no thread and no connection.
        turns = CapacityLimiter(CLAIMS_AT_ONCE if self.name == "claim" else VERBS_AT_ONCE)
        model: type[BaseModel] = get_type_hints(self.endpoint)["request"]

        async def answer(request: Request) -> Response:
            message = _plainly_right(model, request, await request.body())
            if message is None:
                return await by_the_framework(request)
            answered: BaseModel = await to_thread.run_sync(
                self.endpoint, message, request.app.state.verbs, limiter=turns
            )
            return Response(answered.model_dump_json(), media_type="application/json")

        return answer


def _plainly_right(model: type[BaseModel], request: Request, body: bytes) -> BaseModel | None:
    if request.headers.get("content-type") != "application/json" or request.url.query or may_be_unstorable(body):
        return None
    try:
        return model.model_validate_json(body)
    except ValidationError:
        return None


router = APIRouter(prefix="/v1", responses=deps.PROBLEMS)
verbs_router = APIRouter(prefix="/v1/work", responses=deps.PROBLEMS, route_class=VerbRoute, tags=["work"])
OUTSIDE_WORKER = "http"
"""Name under which the single-trial routes speak: the lease alone says whose trial it is."""


class Ask(Message):
    """Ask for trials of one study, from a training loop of one's own."""

    count: Annotated[int, Field(ge=1, le=1024)] = 1
    worker: WorkerName = OUTSIDE_WORKER
    claim_id: Annotated[str, Field(min_length=1, max_length=200)]
    """Chosen by the caller: the same id gets the same trials again."""


class TrialReports(Message):
    """New reports of one trial; none only renews the lease."""

    lease: str
    reports: list[Report] = []


class Directed(Message):
    """What to do next with the trial."""

    directive: str
    lease_expires_at: datetime | None = None


class TrialResult(Message):
    """The end of one trial, or its return to the queue."""

    lease: str
    state: Literal["complete", "failed", "released"]
    value: Number | None = None
    steps_done: Whole = 0
    error: str | None = None
    worker_seconds: Seconds = 0.0
    metrics: dict[str, Number] = {}


@verbs_router.post("/claim")
def claim(request: ClaimRequest, verbs: deps.VerbsOf) -> ClaimAnswer:
    """Lease proposed trials; empty when there is nothing to do."""
    return verbs.claim(request)


@verbs_router.post("/renew")
def renew(request: RenewRequest, verbs: deps.VerbsOf) -> VerbAnswer:
    """Prolong leases."""
    return verbs.renew(request)


@verbs_router.post("/report")
def report(request: ReportRequest, verbs: deps.VerbsOf) -> VerbAnswer:
    """Report for any number of trials; each answer carries the directive."""
    return verbs.report(request)


@verbs_router.post("/finish")
def finish(request: FinishRequest, verbs: deps.VerbsOf) -> VerbAnswer:
    """End any number of trials."""
    return verbs.finish(request)


@verbs_router.post("/release")
def release(request: ReleaseRequest, verbs: deps.VerbsOf) -> VerbAnswer:
    """Give trials back: no attempt is counted."""
    return verbs.release(request)


@router.get("/work/backlog", tags=["work"])
def backlog(
    verbs: deps.VerbsOf,
    task: Annotated[list[str], Query(min_length=1, max_length=MOST_TASKS, description="Name of a task; repeatable.")],
) -> Backlog:
    """Count the trials that studies of some tasks still want: proposed, in training, and left of their budgets."""
    return Backlog(trials=verbs.backlog(task))


@router.post("/studies/{name}/trials", tags=["trials"])
def ask(name: deps.StudyName, body: Ask, store: deps.StoreOf, verbs: deps.VerbsOf) -> ClaimAnswer:
    """Lease trials of one study to a training loop outside our workers.

    Not of a study whose rungs compare by `cooldown` or `rescaled`: only our workers train what these ask for.
    """
    spec = get_study(store, name).spec
    if spec.pruner.fidelity in BRANCHING and spec.pruner.kind != "none":
        detail = f"{name} compares trials by {spec.pruner.fidelity}, which a loop outside our workers cannot show"
        raise InvalidSpec(detail, field="name")
    versions = _versions(store, spec)
    request = ClaimRequest(worker=body.worker, claim_id=body.claim_id, tasks=versions, count=body.count, study=name)
    return verbs.claim(request)


def _versions(store: deps.StoreOf, spec: StudySpec) -> list[TaskVersion]:
    """Every version that the study may run on: the store matches the one that it does."""
    known = {offer.version for offer in offers(store) if offer.name == spec.task.name}
    # A task that nobody offers, such as `external`, has the version 1: see resolve_study.
    versions = known | {spec.task.version or "1"}
    return [TaskVersion(name=spec.task.name, version=version) for version in sorted(versions)]


@router.post("/studies/{name}/trials/{number}/reports", tags=["trials"])
def report_one(name: deps.StudyName, number: deps.Number, body: TrialReports, verbs: deps.VerbsOf) -> Directed:
    """Report for one trial; 409 `lease_lost` when it is no longer the caller's."""
    held = Held(study=name, number=number, lease=body.lease)
    answer = _report(verbs, held, body.reports) if body.reports else _renew(verbs, held)
    return Directed(directive=answer.directive or "continue", lease_expires_at=answer.lease_expires_at)


def _report(verbs: SqlVerbs, held: Held, reports: list[Report]) -> ItemAnswer:
    item = ReportItem(study=held.study, number=held.number, lease=held.lease, reports=reports)
    return _only(verbs.report(ReportRequest(worker=OUTSIDE_WORKER, items=[item])))


def _renew(verbs: SqlVerbs, held: Held) -> ItemAnswer:
    return _only(verbs.renew(RenewRequest(worker=OUTSIDE_WORKER, items=[held])))


@router.put("/studies/{name}/trials/{number}/result", tags=["trials"])
def finish_one(name: deps.StudyName, number: deps.Number, body: TrialResult, verbs: deps.VerbsOf) -> ItemAnswer:
    """End one trial or give it back; the same result sent again gets the same answer."""
    held = {"study": name, "number": number, "lease": body.lease, "worker_seconds": body.worker_seconds}
    if body.state == "released":
        return _only(verbs.release(ReleaseRequest(worker=OUTSIDE_WORKER, items=[ReleaseItem(**held)])))
    # What is left out stays left out: a result that says nothing of its updates is not one of 0 updates.
    ended = body.model_dump(include={"state", "value", "steps_done", "error", "metrics"}, exclude_unset=True)
    try:
        item = FinishItem.model_validate(held | ended)
    except ValidationError as error:
        raise problem_from_validation(error) from error
    return _only(verbs.finish(FinishRequest(worker=OUTSIDE_WORKER, items=[item])))


def _only(answer: VerbAnswer) -> ItemAnswer:
    """Return the answer to a call about one trial.

    Raises:
        LeaseLost: the trial is no longer the caller's.
    """
    item = answer.items[0]
    if not item.accepted:
        raise LeaseLost(field="lease")
    return item
