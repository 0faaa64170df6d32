"""What was already run: past trials, sent to a study, which learns from them or tries them first."""

from __future__ import annotations

from fastapi import APIRouter

from search_spaces.history import HistoryAnswer, HistoryRequest, HistoryView
from search_spaces.model import Message
from store.history import list_history

from .. import deps
from ..past_trials import take

router = APIRouter(prefix="/v1/studies/{name}/history", tags=["history"], responses=deps.PROBLEMS)


class HistoryPage(Message):
    """One page of a study's past trials, in the order in which they were taken."""

    items: list[HistoryView]
    next_cursor: str | None = None


@router.post("")
def add_history(name: deps.StudyName, request: HistoryRequest, store: deps.StoreOf) -> HistoryAnswer:
    """Send past trials to a running study; the answer says what became of each, and why.

    One of the same task and horizon, with a value, becomes history: the sampler learns from it, and nothing else
    changes. Another one whose candidate is a point of the study's space becomes a first proposal, up to a quarter of
    the budget: it is trained as a trial of the search, with the origin `imported`. The rest is left out. What was sent
    before is not taken twice.
    """
    return HistoryAnswer(items=take(store, name, request.trials))


@router.get("")
def show_history(
    name: deps.StudyName, store: deps.StoreOf, limit: deps.Limit = 50, cursor: deps.Cursor = None
) -> HistoryPage:
    """List the past trials that a study was sent and has kept."""
    page = list_history(store, name, limit=limit, cursor=cursor)
    return HistoryPage(items=page.items, next_cursor=page.next_cursor)
