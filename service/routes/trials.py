"""Trials as people read them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from search_spaces.model import Message
from search_spaces.problems import Problem
from search_spaces.results import TrialState, TrialView
from search_spaces.schedules import Plateau
from search_spaces.target import reported_direction
from search_spaces.work import Purpose
from store import Store
from store.studies import get_study
from store.trials import get_trial, list_trials

from .. import deps
from ..curves import Floats, followed_curve, lr_curve

router = APIRouter(prefix="/v1/studies/{name}/trials", tags=["trials"], responses=deps.PROBLEMS)
CONFIRMATION = ".confirmation"


class TrialPage(Message):
    """One page of trials, by number."""

    items: list[TrialView]
    next_cursor: str | None = None


@router.get("")
def show_trials(
    name: deps.StudyName,
    store: deps.StoreOf,
    state: TrialState | None = None,
    purpose: Annotated[Purpose | None, Query(description="default: search")] = None,
    limit: deps.Limit = 50,
    cursor: deps.Cursor = None,
) -> TrialPage:
    """List trials; those of the purposes `tuning` and `confirmation` are rows of `{name}.confirmation`."""
    if name.endswith(CONFIRMATION):
        name, purpose = name.removesuffix(CONFIRMATION), purpose or "confirmation"
    page = list_trials(store, name, state=state, purpose=purpose, limit=limit, cursor=cursor)
    return TrialPage(items=page.items, next_cursor=page.next_cursor)


@router.get("/{number}")
def show_trial(name: deps.StudyName, number: deps.Number, store: deps.StoreOf) -> TrialView:
    """Show one trial with its curve of reports and the LR of every update."""
    trial = get_trial(store, name, number)
    return trial.model_copy(update={"lr": trial_lr(store, trial)})


def trial_lr(store: Store, trial: TrialView) -> list[float] | None:
    """Return the LR of every update of a trial; None for a foreign one, and where no curve can be drawn.

    A `plateau` is drawn by what was reported, once the trial is complete.
    """
    if trial.candidate is None or trial.horizon_steps is None:
        return None
    schedule, initial_lr = trial.candidate.schedule, trial.candidate.initial_lr
    if isinstance(schedule, Plateau):
        lr = plateau_lr(store, trial, trial.horizon_steps)
    else:
        try:
            lr = lr_curve(schedule, initial_lr, trial.horizon_steps)
        except Problem:  # a point that does not fit its horizon failed for that, and is shown all the same
            lr = None
    return None if lr is None else [float(value) for value in lr]


def plateau_lr(store: Store, trial: TrialView, steps: int) -> Floats | None:
    """Return the LR of a complete trial that a `plateau` drove, redrawn for `steps`; None where it is not known."""
    candidate, horizon = trial.candidate, trial.horizon_steps
    if candidate is None or horizon is None or trial.state != "complete":
        return None
    view = get_study(store, trial.study.removesuffix(CONFIRMATION))
    direction = reported_direction(view.target, view.direction)
    reports = {report.step: report.value for report in trial.curve or [] if report.kind == "raw"}
    assert isinstance(candidate.schedule, Plateau)
    return followed_curve(candidate.schedule, candidate.initial_lr, horizon, reports, direction, steps=steps)
