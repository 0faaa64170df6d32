"""Studies as people write them: lengths in `current` may be time strings, which need the horizon."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi.exceptions import RequestValidationError
from pydantic import BeforeValidator, ValidationError

from search_spaces.candidate import Candidate
from search_spaces.problems import InvalidSpec
from search_spaces.study import EXTERNAL_TASK, StudySpec, resolve_study
from search_spaces.time_strings import has_time_strings, with_fractions
from search_spaces.work import OfferedTask

from .submission import offer_of

FIELD = "current.schedule"


def _as_written(current: Any) -> Any:
    return current


# The surface describes a candidate; what is read is any object, until the horizon is known.
Current = Annotated[dict[str, Any] | None, BeforeValidator(_as_written, json_schema_input_type=Candidate | None)]


class WrittenStudy(StudySpec):
    """A study as submitted; `current` is a candidate whose lengths may be time strings ("30ep", "1500ba", "0.3dur")."""

    current: Current = None  # type: ignore[assignment]
    """What the user runs today."""


def study_of(written: WrittenStudy, offers: Sequence[OfferedTask]) -> StudySpec:
    """Return the spec, with the lengths of `current` as fractions of the horizon that the offer gives.

    Raises:
        InvalidSpec: a time string is wrong, or nothing tells how long the training is.
        RequestValidationError: `current` is no candidate.
    """
    document = written.model_dump(exclude_unset=True)
    current = document.pop("current", None)
    if current is None:
        return StudySpec.model_validate(document)
    if has_time_strings(current.get("schedule")):
        current = {**current, "schedule": _with_fractions(StudySpec.model_validate(document), current, offers)}
    document["current"] = current
    try:
        return StudySpec.model_validate(document)
    except ValidationError as error:
        rows = [{**row, "loc": ("body", *row["loc"])} for row in error.errors()]
        raise RequestValidationError(rows, body=document) from None


def _with_fractions(spec: StudySpec, current: dict[str, Any], offers: Sequence[OfferedTask]) -> dict[str, Any]:
    schedule = current["schedule"]
    offer = None if spec.task.name == EXTERNAL_TASK else offer_of(offers, spec.task)
    if offer is not None:
        horizon = resolve_study(spec, offer).horizon_steps
        return with_fractions(schedule, horizon, offer.horizon.steps_per_epoch, field=FIELD)
    if spec.horizon.steps is None:
        raise InvalidSpec("nobody has offered the task yet, so its horizon is not known: write fractions", field=FIELD)
    return with_fractions(schedule, spec.horizon.steps, field=FIELD)
