"""The answer as a text that runs as it is, in the framework that a person trains with."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from search_spaces.export import Framework, export
from search_spaces.problems import Conflict
from search_spaces.target import reported_direction

from .. import deps
from ..answer import known_answer

router = APIRouter(prefix="/v1/studies/{name}/best", tags=["answer"], responses=deps.PROBLEMS)
PYTHON = "text/x-python; charset=utf-8"


@router.get("/code", response_class=Response, responses={200: {"content": {"text/x-python": {}}}})
def show_code(
    name: deps.StudyName,
    store: deps.StoreOf,
    framework: Annotated[Framework, Query(description="What the text is written for")] = "pytorch",
    steps: deps.StepsQuery = None,
) -> Response:
    """Give Python text that builds the answer's optimizer and schedule, at the study's horizon or for `steps`."""
    answer = known_answer(store, name)
    if answer.candidate is None or answer.horizon is None:
        raise Conflict(f"nothing of {name} is complete yet, so there is no code")
    direction = reported_direction(answer.target, answer.metric.direction if answer.metric is not None else None)
    text = export(answer.candidate, steps or answer.horizon, framework, direction=direction)
    headers = {"Content-Disposition": f'inline; filename="{name}.{framework}.py"'}
    return Response(text, media_type=PYTHON, headers=headers)
