"""Liveness, readiness and metrics."""

from __future__ import annotations

from typing import Literal, cast

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse

from search_spaces.model import Message

from .. import deps
from ..metrics import TEXT, Metrics
from ..readiness import Readiness

router = APIRouter(responses=deps.PROBLEMS)


class Health(Message):
    """The process answers; readiness means that it is to be asked, too."""

    status: Literal["ok"] = "ok"


@router.get("/healthz", tags=["health"])
def alive() -> Health:
    """Say that this process answers."""
    return Health()


@router.get("/readyz", tags=["health"])
def ready(request: Request) -> Health:
    """Say that this process is to be asked: the store answers in time, its tables are those of this version, and a
    coordinator lives that does not end again and again.

    503 `store_unavailable` or `not_ready` while that is not so, and from the moment at which the process is asked to
    stop.
    """
    cast(Readiness, request.app.state.readiness).check()
    return Health()


@router.get("/metrics", tags=["health"], response_class=PlainTextResponse)
def show_metrics(request: Request) -> PlainTextResponse:
    """Show what an operator watches, in Prometheus' text format; docs/operations.md says what each number means.

    What is known to the store is the same at every process; counters and histograms are this process's own.
    """
    return PlainTextResponse(cast(Metrics, request.app.state.metrics).text(), media_type=TEXT)
