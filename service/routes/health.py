"""Liveness and readiness."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request

from search_spaces.model import Message
from search_spaces.problems import NotReady

from .. import deps
from ..supervision import Supervised

router = APIRouter(responses=deps.PROBLEMS)


class Health(Message):
    """The process answers; readiness means that it also reaches its store and that its coordinator is at work."""

    status: Literal["ok"] = "ok"


@router.get("/healthz", tags=["health"])
def alive() -> Health:
    """Say that this process answers."""
    return Health()


@router.get("/readyz", tags=["health"])
def ready(request: Request, store: deps.StoreOf) -> Health:
    """Say that the store can be reached and that the coordinator which this process keeps is at work.

    503 `store_unavailable` or `not_ready` while they are not.
    """
    store.ping()
    coordinator: Supervised | None = request.app.state.coordinator
    trouble = None if coordinator is None else coordinator.trouble()
    if trouble is not None:
        raise NotReady(trouble)
    return Health()
