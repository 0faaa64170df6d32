"""Pages for people: the start page, and the report of a study."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from search_spaces.presets import PRESETS
from search_spaces.problems import NotFound
from search_spaces.results import StudyState
from store.studies import get_study, list_studies

from .. import deps
from ..answer import known_answer
from ..looking import ENDED_STUDY
from ..pages.api import models_of, operations_of
from ..pages.rendering import page
from ..pages.report import report_of
from ..pages.start import offered_tasks, rows_of

router = APIRouter(tags=["pages"], responses=deps.PROBLEMS)
SHOWN_STUDIES = 25
MISSING: dict[int | str, dict[str, Any]] = {
    404: {"content": {"text/html": {}}, "description": "There is no such study"}
}


@router.get("/", response_class=HTMLResponse)
def show_start_page(
    store: deps.StoreOf,
    state: StudyState | Annotated[str, Query(max_length=0)] | None = None,
    tag: Annotated[str | None, Query(max_length=100)] = None,
    cursor: deps.Cursor = None,
) -> HTMLResponse:
    """Show the studies, newest first, and a form to submit one."""
    found = list_studies(store, state=state or None, tag=tag or None, limit=SHOWN_STUDIES, cursor=cursor)
    chosen = {"state": state or "", "tag": tag or ""}
    older = {**chosen, "cursor": found.next_cursor}
    return page(
        "start.html",
        rows=rows_of(store, found.items),
        chosen=chosen,
        older="/?" + urlencode(older) if found.next_cursor else None,
        tasks=offered_tasks(store),
        presets=list(PRESETS),
    )


@router.get("/docs", response_class=HTMLResponse)
def show_api(request: Request) -> HTMLResponse:
    """Show every operation and model of this API in one page that needs nothing else."""
    document = request.app.openapi()
    return page("api.html", operations=operations_of(document), models=models_of(document))


@router.get("/v1/studies/{name}/report", response_class=HTMLResponse, responses=MISSING)
def show_report(
    name: deps.StudyName, store: deps.StoreOf, insights: deps.InsightsOf, pages: deps.PagesOf
) -> HTMLResponse:
    """Show a study in one page that needs nothing else: verdict, curves, evidence, code; it follows a running study."""
    try:
        view = get_study(store, name)
    except NotFound as problem:
        return page("missing.html", status=404, detail=problem.detail)

    def draw() -> HTMLResponse:
        # What the search has taught is made of everything that has ended: once, when nothing more will.
        insight = insights.of(name) if view.state in ENDED_STUDY else None
        return page("report.html", report=report_of(store, view, known_answer(store, name), insight))

    return pages.of(view, draw)
