"""Workers: announce and heartbeat over HTTP, and who is there."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from search_spaces.model import Message
from search_spaces.results import WorkerView
from search_spaces.work import Announcement
from store.workers import list_workers

from .. import deps

router = APIRouter(prefix="/v1/workers", tags=["workers"], responses=deps.PROBLEMS)


class WorkerPage(Message):
    """The workers that have announced themselves."""

    items: list[WorkerView]
    next_cursor: str | None = None


@router.put("/{worker}", status_code=204)
def announce(
    worker: Annotated[str, Path(min_length=1, max_length=200)], body: Announcement, verbs: deps.VerbsOf
) -> None:
    """Say which tasks a worker can train; sent again, it is the sign of life."""
    verbs.announce(worker, body)


@router.get("")
def show_workers(store: deps.StoreOf) -> WorkerPage:
    """Show every worker with what it offers, what it holds and when it was last heard of."""
    return WorkerPage(items=list_workers(store))
