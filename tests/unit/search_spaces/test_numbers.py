"""Numbers in specs and verbs are numbers: nothing else is read as one, and the field is named."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from search_spaces.candidate import Candidate
from search_spaces.model import problem_from_validation
from search_spaces.ranges import FloatRange
from search_spaces.results import Arm
from search_spaces.study import StudySpec
from search_spaces.work import Announcement, FinishItem, Report


def study(**fields: Any) -> dict[str, Any]:
    return {"name": "mine", "task": {"name": "nothing"}} | fields


def candidate(**fields: Any) -> dict[str, Any]:
    return {"optimizer": {"kind": "sgd"}, "initial_lr": 0.1, "schedule": {"kind": "cosine"}} | fields


WRONG: dict[str, tuple[type, dict[str, Any], str]] = {
    "true for a whole number": (StudySpec, study(seed=True), "seed"),
    "text for a whole number": (StudySpec, study(budget={"trials": "10"}), "budget.trials"),
    "10.0 for a whole number": (StudySpec, study(budget={"trials": 10.0}), "budget.trials"),
    "text for a real number": (StudySpec, study(budget={"worker_seconds": "1e3"}), "budget.worker_seconds"),
    "false for a real number": (StudySpec, study(pruner={"run_on": False}), "pruner.run_on"),
    "true in a list": (StudySpec, study(pruner={"rungs": [0.1, True]}), "pruner.rungs.1"),
    "text for a truth": (StudySpec, study(confirmation={"extras": "no"}), "confirmation.extras"),
    "1 for a truth": (StudySpec, study(confirmation={"extras": 1}), "confirmation.extras"),
    "text for the LR": (Candidate, candidate(initial_lr="0.1"), "initial_lr"),
    "true for the LR": (Candidate, candidate(initial_lr=True), "initial_lr"),
    "nan for the LR": (Candidate, candidate(initial_lr="nan"), "initial_lr"),
    "text for a ratio": (Candidate, candidate(lr_ratios={"backbone": "0.1"}), "lr_ratios.backbone"),
    "text for a step": (Report, {"step": "5", "value": 1.0}, "step"),
    "text for a value": (Report, {"step": 5, "value": "1.0"}, "value"),
    "true for a value": (Report, {"step": 5, "value": True}, "value"),
    "text for seconds": (
        FinishItem,
        {"study": "mine", "number": 0, "lease": "l", "state": "failed", "worker_seconds": "2"},
        "worker_seconds",
    ),
    "text for slots": (Announcement, {"slots": "2"}, "slots"),
    "1 for a scale": (FloatRange, {"low": 1, "high": 2, "log": 1}, "log"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_no_number_is_refused_with_its_field(wrong: str) -> None:
    """Neither text nor a truth value is read as a number, whatever it looks like."""
    model, document, field = WRONG[wrong]

    with pytest.raises(ValidationError) as refused:
        TypeAdapter(model).validate_python(document)

    assert problem_from_validation(refused.value).field == field


@pytest.mark.parametrize(
    ("kind", "field"),
    [("optimizer", {"kind": "sgd", "momentum": "0.9"}), ("schedule", {"kind": "cosine", "reverse": 0})],
)
def test_parts_of_a_candidate_are_as_strict(kind: str, field: dict[str, Any]) -> None:
    """The families of optimizers and schedules read their parameters in the same way."""
    with pytest.raises(ValidationError, match=next(iter(reversed(field)))):
        Candidate.model_validate(candidate(**{kind: field}))


def test_a_whole_number_may_stand_for_a_real_one() -> None:
    """JSON does not tell 1 from 1.0 where a real number is asked."""
    assert Candidate.model_validate(candidate(initial_lr=1)).initial_lr == 1.0


@pytest.mark.parametrize(("text", "number"), [("inf", float("inf")), ("-inf", float("-inf"))])
def test_the_numbers_that_json_cannot_write_stay_text(text: str, number: float) -> None:
    """A diverged training reports "nan", "inf" or "-inf"."""
    assert Report.model_validate({"step": 5, "value": text}).value == number


def test_times_and_keys_are_read_from_text() -> None:
    """JSON has no times, and its objects have text for keys."""
    spec = StudySpec.model_validate(study(budget={"deadline": "2030-01-01T00:00:00Z"}))
    arm = Arm.model_validate({"name": "a", "role": "candidate", "candidate": candidate(), "values": {"7": 0.5}})

    assert spec.budget.deadline is not None
    assert arm.values == {7: 0.5}
