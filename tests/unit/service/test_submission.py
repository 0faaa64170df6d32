"""A task's parameters against the schema of its offer, and which offer a study is met with."""

from __future__ import annotations

from typing import Any

import pytest

from search_spaces.problems import InvalidSpec
from search_spaces.study import TaskSpec
from search_spaces.work import OfferedScript
from service.submission import check_params, offer_of, resolve, resolve_submission
from tests.studies import OFFER, study_spec

SCHEMA = {
    "type": "object",
    "properties": {
        "noise": {"type": "number", "minimum": 0, "exclusiveMaximum": 1},
        "width": {"type": "integer", "exclusiveMinimum": 0, "maximum": 512},
        "augment": {"type": "boolean"},
        "split": {"enum": ["small", "whole"]},
        "note": {"type": ["string", "null"]},
    },
    "required": ["width"],
}


@pytest.mark.parametrize(
    "params",
    [
        {"width": 1},
        {"width": 512, "noise": 0, "augment": True, "split": "small", "note": None},
        {"width": 3, "noise": 0.99},
    ],
)
def test_params_that_fit_pass(params: dict[str, Any]) -> None:
    """Types, bounds and choices as the offer has them."""
    check_params(params, SCHEMA)


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({}, "width"),
        ({"width": "wide"}, "width"),
        ({"width": 1.5}, "width"),
        ({"width": True}, "width"),
        ({"width": 0}, "width"),
        ({"width": 513}, "width"),
        ({"width": 1, "noise": -0.1}, "noise"),
        ({"width": 1, "noise": 1}, "noise"),
        ({"width": 1, "split": "half"}, "split"),
        ({"width": 1, "note": 3}, "note"),
        ({"width": 1, "depth": 3}, "depth"),
    ],
)
def test_params_that_do_not_fit_name_their_field(params: dict[str, Any], field: str) -> None:
    """The first parameter that is missing, unknown, of another type, or out of bounds."""
    with pytest.raises(InvalidSpec) as caught:
        check_params(params, SCHEMA)

    assert caught.value.field == f"task.params.{field}"


def test_an_open_schema_takes_further_params() -> None:
    """Only where the offer says so."""
    check_params({"width": 1, "depth": 3}, SCHEMA | {"additionalProperties": True})


def test_the_latest_offer_is_met_unless_a_version_is_asked_for() -> None:
    """Offers come latest first; another name or version is no match."""
    later = OFFER.model_copy(update={"version": "2"})
    known = [later, OFFER]

    assert offer_of(known, TaskSpec(name="nothing")) == later
    assert offer_of(known, TaskSpec(name="nothing", version="1")) == OFFER
    assert offer_of(known, TaskSpec(name="nothing", version="3")) is None
    assert offer_of(known, TaskSpec(name="something")) is None


def test_an_external_task_needs_no_offer() -> None:
    """Its spec says metric, direction and horizon itself."""
    spec = study_spec(
        task={"name": "external"}, objective={"metric": "f1", "direction": "maximize"}, horizon={"steps": 500}
    )

    resolution = resolve_submission(spec, [])

    assert resolution is not None
    assert (resolution[0].metric, resolution[0].direction, resolution[0].horizon_steps) == ("f1", "maximize", 500)


@pytest.mark.parametrize("fidelity", ["cooldown", "rescaled"])
def test_rungs_that_train_beside_are_for_our_workers(fidelity: str) -> None:
    """A script, and a loop of the user's own, cannot be asked for a branch: the field is named. Others can."""
    mine = study_spec(pruner={"fidelity": fidelity})
    external = study_spec(
        task={"name": "external"}, pruner={"fidelity": fidelity}, horizon={"steps": 100},
        objective={"metric": "loss", "direction": "minimize"},
    )  # fmt: skip
    script = OFFER.model_copy(update={"script": OfferedScript(mode="inject", initial_lr=0.1)})

    refused = []
    for spec, offer in ((external, None), (mine, script)):
        with pytest.raises(InvalidSpec) as caught:
            resolve(spec, offer)
        refused.append(caught.value.field)

    assert refused == ["pruner.fidelity"] * 2
    assert resolve(mine, OFFER)[0].rungs == [10, 20, 30, 50]
