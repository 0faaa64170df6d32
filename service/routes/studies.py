"""Studies: submitted, listed, changed, deleted."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Header, Query, Response
from pydantic import Field

from search_spaces.model import Message, Model
from search_spaces.plan import StudyPlan
from search_spaces.problems import InvalidSpec, NameTaken, NotFound
from search_spaces.results import StudyState, StudyView
from search_spaces.study import BudgetSpec
from store import Store
from store.resubmission import submitted
from store.studies import (
    change_state,
    delete_study,
    extend_budget,
    get_study,
    list_studies,
    set_priority,
    submit,
)
from store.workers import offers

from .. import deps
from ..limits import check_trials, share_of
from ..submission import offer_of, refuse_past_deadline, resolve_submission
from ..warm_start import check_warm_start
from ..written import WrittenStudy, study_of

router = APIRouter(prefix="/v1/studies", tags=["studies"], responses=deps.PROBLEMS)


class StudyPage(Message):
    """One page of studies, newest first."""

    items: list[StudyView]
    next_cursor: str | None = None


class StudyChange(Model):
    """One change of a study: its state, its budget or its priority."""

    state: Literal["paused", "running", "stopped"] | None = None
    reason: Annotated[str, Field(max_length=1000)] | None = None
    """Why, with `state`."""
    budget: BudgetSpec | None = None
    """Extends the budget; what is left out stays as it is."""
    priority: Annotated[int, Field(ge=-1000, le=1000)] | None = None


@router.post(
    "",
    status_code=201,
    responses={200: {"model": StudyPlan, "description": "With dry_run: the plan"}},
)
def submit_study(
    written: WrittenStudy,
    response: Response,
    store: deps.StoreOf,
    nudge: deps.Nudge,
    key: deps.KeyOf,
    settings: deps.SettingsOf,
    idempotency_key: Annotated[str | None, Header(max_length=200)] = None,
    dry_run: Annotated[bool, Query(description="Validate and plan, store nothing")] = False,
    step_seconds: Annotated[
        float | None,
        Query(
            gt=0,
            le=1e9,
            allow_inf_nan=False,
            description="With dry_run: a worker's seconds for one update, as measured",
        ),
    ] = None,
) -> StudyView | StudyPlan:
    """Submit a study; with `Idempotency-Key` a repeated request gets the study that the first one made."""
    known = offers(store)
    spec = study_of(written, known)
    check_trials(settings, key, spec.budget.trials)
    if dry_run:
        from ..planning import plan_study  # with SciPy, which every start of the service would pay for

        response.status_code = 200
        resolution = resolve_submission(spec, known)
        _refuse_taken(store, spec.name)
        check_warm_start(store, spec)
        return plan_study(store, spec, resolution, offer_of(known, spec.task), step_seconds)
    # What was right when it was made is not judged again: its deadline may have passed since.
    view = submitted(store, spec, idempotency_key)
    if view is None:
        check_warm_start(store, spec)
        resolved, space = resolve_submission(spec, known) or (None, None)
        share = share_of(settings, key)
        view = submit(store, spec, resolved=resolved, space=space, idempotency_key=idempotency_key, token=share)
        nudge()
    response.headers["Location"] = f"/v1/studies/{view.name}"
    return view


def _refuse_taken(store: Store, name: str) -> None:
    try:
        get_study(store, name)
    except NotFound:
        return
    raise NameTaken(f"a study named {name} exists", field="name")


@router.get("")
def show_studies(
    store: deps.StoreOf,
    state: StudyState | None = None,
    tag: Annotated[str | None, Query(max_length=100)] = None,
    limit: deps.Limit = 50,
    cursor: deps.Cursor = None,
) -> StudyPage:
    """List studies, newest first."""
    page = list_studies(store, state=state, tag=tag, limit=limit, cursor=cursor)
    return StudyPage(items=page.items, next_cursor=page.next_cursor)


@router.get("/{name}")
def show_study(name: deps.StudyName, store: deps.StoreOf) -> StudyView:
    """Show one study: its state, what it may spend and has spent, and the best score of its search."""
    return get_study(store, name)


@router.patch("/{name}")
def change_study(
    name: deps.StudyName,
    change: StudyChange,
    store: deps.StoreOf,
    nudge: deps.Nudge,
    key: deps.KeyOf,
    settings: deps.SettingsOf,
) -> StudyView:
    """Pause, resume or stop a study, extend its budget, or set its priority: one of them a request.

    A study that is stopped after its verdict is `done`, with what follows a verdict left out.
    """
    if change.budget is not None:
        check_trials(settings, key, change.budget.trials)
    view = _changed(store, name, change)
    nudge()
    return view


def _changed(store: Store, name: str, change: StudyChange) -> StudyView:
    given = change.model_fields_set - {"reason"}
    if len(given) != 1 or getattr(change, next(iter(given))) is None:
        raise InvalidSpec("give one of state, budget and priority")
    if change.state == "stopped":
        from ..stopping import conclude_early  # with SciPy, which every start of the service would pay for

        if conclude_early(store, name, change.reason):
            return get_study(store, name)
    if change.state is not None:
        return change_state(store, name, change.state, change.reason)
    if change.budget is not None:
        refuse_past_deadline(change.budget)
        earlier = get_study(store, name).spec.budget
        laid = change.budget.model_dump(include=change.budget.model_fields_set)
        return extend_budget(store, name, earlier.model_copy(update=laid))
    assert change.priority is not None
    return set_priority(store, name, change.priority)


@router.delete("/{name}", status_code=204)
def remove_study(
    name: deps.StudyName,
    store: deps.StoreOf,
    keep_answer: Annotated[bool, Query(description="Leave the name and its answer")] = False,
) -> None:
    """Remove a study and both of its Optuna studies; refused while workers hold trials of it."""
    delete_study(store, name, keep_answer=keep_answer)
