"""The answer, and the LR curve of what it names."""

from __future__ import annotations

from fastapi import APIRouter, Response

from search_spaces.artefact import Artefact, artefact_of, as_text
from search_spaces.model import Message
from search_spaces.problems import Conflict, HorizonTooShort
from search_spaces.results import Answer, StudyView, TrialView
from search_spaces.schedules import Plateau
from search_spaces.study import confirmation_name
from store import Store
from store.studies import get_study
from store.trials import get_trial, list_trials

from .. import deps
from ..answer import known_answer
from ..curves import Floats, as_csv, as_svg, lr_curve
from .trials import plateau_lr

router = APIRouter(prefix="/v1/studies/{name}/best", tags=["answer"], responses=deps.PROBLEMS)
PAGE_SIZE = 500


class Curve(Message):
    """The LR of every update."""

    steps: int
    lr: list[float]


@router.get("")
def show_answer(name: deps.StudyName, store: deps.StoreOf) -> Answer:
    """Show the answer, or as much of it as there is; `candidate` is null while nothing is complete."""
    return known_answer(store, name)


def _confirmation(store: Store, view: StudyView) -> list[TrialView]:
    """Read every trial of the confirmation; none is read for a study that is not there yet."""
    if view.confirmation.ended + view.confirmation.leased == 0:
        return []
    found: list[TrialView] = []
    for purpose in ("tuning", "confirmation"):
        cursor: str | None = None
        while True:
            page = list_trials(store, view.name, purpose=purpose, limit=PAGE_SIZE, cursor=cursor)
            found.extend(page.items)
            cursor = page.next_cursor
            if cursor is None:
                break
    return found


@router.get("/artefact", response_class=Response, responses={200: {"model": Artefact}})
def show_artefact(name: deps.StudyName, store: deps.StoreOf) -> Response:
    """Give the answer as a document to keep, with evidence, provenance and a checksum; `etude.load` reads it."""
    answer = known_answer(store, name)
    if answer.candidate is None:
        raise Conflict(f"nothing of {name} is complete yet, so there is no answer to keep")
    headers = {"Content-Disposition": f'attachment; filename="{name}.best.json"'}
    return Response(as_text(artefact_of(answer)), media_type="application/json", headers=headers)


@router.get("/curve")
def show_curve(name: deps.StudyName, store: deps.StoreOf, steps: deps.StepsQuery = None) -> Curve:
    """Give the LR of every update, at the study's horizon or redrawn for `steps`."""
    lr, _ = _curve(store, name, steps)
    return Curve(steps=lr.size, lr=lr.tolist())


@router.get("/curve.csv", response_class=Response, responses={200: {"content": {"text/csv": {}}}})
def show_curve_as_csv(name: deps.StudyName, store: deps.StoreOf, steps: deps.StepsQuery = None) -> Response:
    """Give the LR of every update as CSV with the columns step and lr."""
    lr, _ = _curve(store, name, steps)
    headers = {"Content-Disposition": f'inline; filename="{name}.csv"'}
    return Response(as_csv(lr), media_type="text/csv; charset=utf-8", headers=headers)


@router.get("/curve.svg", response_class=Response, responses={200: {"content": {"image/svg+xml": {}}}})
def show_curve_as_svg(name: deps.StudyName, store: deps.StoreOf, steps: deps.StepsQuery = None) -> Response:
    """Draw the LR over the steps."""
    lr, answer = _curve(store, name, steps)
    return Response(as_svg(lr, answer.candidate_text or name), media_type="image/svg+xml")


def _curve(store: Store, name: str, steps: int | None) -> tuple[Floats, Answer]:
    answer = known_answer(store, name)
    if answer.candidate is None or answer.horizon is None:
        raise Conflict(f"nothing of {name} is complete yet, so there is no curve")
    candidate = answer.candidate
    if isinstance(candidate.schedule, Plateau):
        return _plateau(store, answer, steps or answer.horizon), answer
    try:
        return lr_curve(candidate.schedule, candidate.initial_lr, steps or answer.horizon), answer
    except HorizonTooShort as problem:
        raise HorizonTooShort(problem.detail, field="steps", least_steps=problem.least_steps) from None


def _plateau(store: Store, answer: Answer, steps: int) -> Floats:
    """Draw a plateau by what a complete training of the answer's candidate has reported."""
    view = get_study(store, answer.study)
    trained = [(confirmation_name(view.name), trial.number) for trial in _confirmation(store, view)]
    if view.best is not None:
        trained.append((view.name, view.best.trial))
    for study, number in trained:
        trial = get_trial(store, study, number)
        lr = plateau_lr(store, trial, steps) if trial.candidate == answer.candidate else None
        if lr is not None:
            return lr
    raise Conflict(f"the plateau of {answer.study} follows the metric, and no training of it has reported enough")
