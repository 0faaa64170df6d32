"""Liveness, readiness, and the page that a person meets first."""

from __future__ import annotations

from html import escape
from typing import Literal

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from search_spaces.model import Message
from search_spaces.problems import NotReady
from search_spaces.results import StudyView
from store.studies import list_studies

from .. import deps
from ..supervision import Supervised

router = APIRouter(responses=deps.PROBLEMS)

SHOWN_STUDIES = 50
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Étude</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem }}
table {{ border-collapse: collapse; width: 100% }}
th, td {{ border-bottom: 1px solid #ccc; padding: .3rem .6rem; text-align: left }}
td.number {{ text-align: right }}
</style>
</head>
<body>
<h1>Étude</h1>
<p>Searches the optimizer, the initial learning rate and the learning-rate schedule of a training task.</p>
<p><a href="/docs">API</a> · <a href="/v1/studies">studies</a> · <a href="/v1/workers">workers</a> ·
<a href="/v1/tasks">tasks</a> · <a href="/v1/schedules">schedules</a> · <a href="/v1/optimizers">optimizers</a> ·
<a href="/v1/presets">presets</a></p>
<h2>Studies</h2>
{studies}
</body>
</html>
"""


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


@router.get("/", response_class=HTMLResponse, include_in_schema=False)
def start_page(store: deps.StoreOf) -> HTMLResponse:
    """Show the latest studies with links into the API."""
    page = list_studies(store, limit=SHOWN_STUDIES)
    return HTMLResponse(PAGE.format(studies=_table(page.items)), headers={"Content-Security-Policy": CSP})


CSP = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def _table(studies: list[StudyView]) -> str:
    if not studies:
        return "<p>None yet: POST one to <code>/v1/studies</code>.</p>"
    rows = "\n".join(_row(study) for study in studies)
    return (
        "<table><tr><th>name</th><th>state</th><th>task</th><th>trials</th><th>best search score</th>"
        f"<th>answer</th><th>curve</th></tr>\n{rows}\n</table>"
    )


def _row(study: StudyView) -> str:
    name = escape(study.name, quote=True)
    best = "" if study.best is None else f"{study.best.value:.4g}"
    return (
        f'<tr><td><a href="/v1/studies/{name}">{name}</a></td><td>{escape(study.state)}</td>'
        f"<td>{escape(study.spec.task.name)}</td>"
        f'<td class="number">{study.budget.used_trials}/{study.budget.trials}</td>'
        f'<td class="number">{best}</td><td><a href="/v1/studies/{name}/best">answer</a></td>'
        f'<td><a href="/v1/studies/{name}/best/curve.svg">curve</a></td></tr>'
    )
