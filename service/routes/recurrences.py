"""Recurrences: studies that are submitted again at each due time, and their nights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import ValidationError

from search_spaces.model import Message, problem_from_validation
from search_spaces.recurrence import (
    RecurrenceChange,
    RecurrenceSpec,
    RecurrenceView,
    RunRequest,
    RunView,
)
from search_spaces.work import OfferedTask
from store.night_views import list_runs
from store.nights import ask_for
from store.recurrences import change, create, get, list_recurrences, remove
from store.workers import offers

from .. import deps
from ..due_times import check_due_times, next_due
from ..limits import check_trials
from ..night import asked_for, check_template
from ..pages.nights import nights_of
from ..pages.rendering import page
from ..sealing import seal_of
from ..webhooks import Allowed, check_webhook

router = APIRouter(prefix="/v1/recurrences", tags=["recurrences"], responses=deps.PROBLEMS)

Name = Annotated[str, Path(description="Name of the recurrence", max_length=80)]
SHOWN_NIGHTS = 60


class RecurrencePage(Message):
    """One page of recurrences, by name."""

    items: list[RecurrenceView]
    next_cursor: str | None = None


class RunPage(Message):
    """One page of nights, latest first."""

    items: list[RunView]
    next_cursor: str | None = None


@router.post("", status_code=201)
def create_recurrence(
    spec: RecurrenceSpec, request: Request, response: Response, store: deps.StoreOf
) -> RecurrenceView:
    """Keep a recurrence; its template is judged as a study is, as far as workers have offered its task.

    The same spec again is answered with what is there.
    """
    _check(spec, offers(store), request)
    view = create(store, spec, next_due, seal=seal_of(request.app.state.settings))
    response.headers["Location"] = f"/v1/recurrences/{view.name}"
    return view


def _check(spec: RecurrenceSpec, known: Sequence[OfferedTask], request: Request) -> None:
    check_due_times(spec)
    check_template(spec, known)
    if spec.webhook is not None:
        check_webhook(spec.webhook, Allowed.by(request.app.state.settings))
    check_trials(request.app.state.settings, request.state.key, spec.template.budget.trials, "template.budget.trials")


@router.get("")
def show_recurrences(store: deps.StoreOf, limit: deps.Limit = 50, cursor: deps.Cursor = None) -> RecurrencePage:
    """List recurrences by name."""
    found = list_recurrences(store, limit=limit, cursor=cursor)
    return RecurrencePage(items=found.items, next_cursor=found.next_cursor)


@router.get("/{name}")
def show_recurrence(name: Name, store: deps.StoreOf) -> RecurrenceView:
    """Show one recurrence: what it says, the schedule in use, and when it is due."""
    return get(store, name)


@router.patch("/{name}")
def change_recurrence(name: Name, asked: RecurrenceChange, request: Request, store: deps.StoreOf) -> RecurrenceView:
    """Change what is given; due times count from now on, and nights under way go on as they were begun.

    A new template is the schedule in use's, too: its `current`, and no longer an adopted one.
    """

    known, settings = offers(store), request.app.state.settings
    webhook_too = "webhook" in asked.model_fields_set

    def changed(earlier: RecurrenceSpec) -> RecurrenceSpec:
        given = asked.model_dump(mode="json", include=asked.model_fields_set)
        try:
            spec = RecurrenceSpec.model_validate(earlier.model_dump(mode="json") | given)
        except ValidationError as error:
            raise problem_from_validation(error) from None
        _check(spec, known, request)
        return spec

    return change(store, name, changed, next_due, seal=seal_of(settings), webhook_too=webhook_too)


@router.delete("/{name}", status_code=204)
def remove_recurrence(name: Name, store: deps.StoreOf) -> None:
    """Remove a recurrence with the list of its nights; their studies stay as they are."""
    remove(store, name)


@router.get("/{name}/runs")
def show_runs(name: Name, store: deps.StoreOf, limit: deps.Limit = 50, cursor: deps.Cursor = None) -> RunPage:
    """List the nights of a recurrence, latest first: verdict, candidate, and its gain over the schedule in use."""
    found = list_runs(store, name, limit=limit, cursor=cursor)
    return RunPage(items=found.items, next_cursor=found.next_cursor)


@router.post("/{name}/runs", status_code=201)
def run_now(name: Name, asked: RunRequest, store: deps.StoreOf, nudge: deps.Nudge) -> RunView:
    """Begin a night now, paused or not; asking again with the same `claim_id` gives the same one."""
    known = offers(store)
    view = ask_for(store, name, asked.claim_id, lambda due: asked_for(due, known), store.now)
    nudge()
    return view


@router.get("/{name}/page", response_class=HTMLResponse)
def show_page(name: Name, store: deps.StoreOf) -> HTMLResponse:
    """Show the nights of a recurrence as a page: the gain over the schedule in use, night by night."""
    return page("nights.html", nights=nights_of(get(store, name), list_runs(store, name, limit=SHOWN_NIGHTS).items))
