"""Wrong specs: each is refused, with the field that is wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from search_spaces.candidate import Candidate
from search_spaces.model import problem_from_validation
from search_spaces.optimizers import AnyOptimizer
from search_spaces.problems import InvalidSpec, Unsupported
from search_spaces.schedules import FAMILIES, AnySchedule, check_horizon, factors

ANY_SCHEDULE: TypeAdapter[AnySchedule] = TypeAdapter(AnySchedule)
ANY_OPTIMIZER: TypeAdapter[AnyOptimizer] = TypeAdapter(AnyOptimizer)

WARMUP = {"fraction": 0.1}
TWO_POINT = {"peak_at": 0, "y1": 1, "delta1": 0, "delta2": 0, "delta_y": 1}

SCHEDULES: list[tuple[str, dict[str, Any], str]] = [
    ("constant", {"speed": 1}, "speed"),
    ("piecewise", {"boundaries": [0.5, 0.2], "values": [1, 1, 1]}, "boundaries"),
    ("piecewise", {"boundaries": [0.5, 1.2], "values": [1, 1, 1]}, "boundaries.1"),
    ("piecewise", {"boundaries": [0.5], "values": [1]}, "values"),
    ("piecewise", {"boundaries": [0.5], "values": [1, 1, 1]}, "values"),
    ("piecewise", {"boundaries": [0.5], "values": [1, -1]}, "values.1"),
    ("step", {"step_size": 0}, "step_size"),
    ("step", {"step_size": 1.5}, "step_size"),
    ("step", {"step_size": 0.5, "gamma": 0}, "gamma"),
    ("step", {"step_size": 0.5, "gamma": 1.1}, "gamma"),
    ("multistep", {"milestones": []}, "milestones"),
    ("multistep", {"milestones": [0.6, 0.3]}, "milestones"),
    ("multistep", {"milestones": [0.3, 1.01]}, "milestones.1"),
    ("multistep", {"milestones": [0.0]}, "milestones.0"),
    ("exponential", {}, "final_factor"),
    ("exponential", {"final_factor": 0}, "final_factor"),
    ("exponential", {"final_factor": float("nan")}, "final_factor"),
    ("natural_exponential", {"rate": -1}, "rate"),
    ("natural_exponential", {"rate": float("inf")}, "rate"),
    ("inverse_time", {"decay": -0.1}, "decay"),
    ("linear", {"end_factor": -0.1}, "end_factor"),
    ("linear", {"start_factor": 1.1}, "start_factor"),
    ("polynomial", {"power": 0}, "power"),
    ("polynomial", {"power": 1, "cycle_length": 0}, "cycle_length"),
    ("cosine", {"end_factor": 2}, "end_factor"),
    ("cosine", {"cycles": 0}, "cycles"),
    ("noam", {"peak": 0}, "peak"),
    ("noam", {"peak": 0.1, "warmup": WARMUP}, "warmup"),
    ("one_cycle", {"peak_fraction": 1.2}, "peak_fraction"),
    ("one_cycle", {"peak_fraction": 0.6, "three_phase": True}, "peak_fraction"),
    ("one_cycle", {"div_factor": 0.5}, "div_factor"),
    ("one_cycle", {"final_div_factor": 0}, "final_div_factor"),
    ("one_cycle", {"anneal": "cosine"}, "anneal"),
    ("one_cycle", {"warmup": WARMUP}, "warmup"),
    ("cyclic", {"floor": -0.1, "cycle_length": 0.2}, "floor"),
    ("cyclic", {"floor": 0.1, "cycle_length": 2}, "cycle_length"),
    ("cyclic", {"floor": 0.1, "cycle_length": 0.2, "up_fraction": 0}, "up_fraction"),
    ("cyclic", {"floor": 0.1, "cycle_length": 0.2, "mode": "square"}, "mode"),
    ("wsd", {"decay_fraction": 0}, "decay_fraction"),
    ("wsd", {"shape": "exponential"}, "end_factor"),
    ("wsd", {"shape": "1-sqrt"}, "shape"),
    ("rex", {"beta": 0}, "beta"),
    ("tanh", {"low": 3, "high": -3}, "low"),
    ("two_point", {**TWO_POINT, "y1": 1.1}, "y1"),
    ("two_point", {**TWO_POINT, "interpolation": "cubic"}, "interpolation"),
    ("inverse_sqrt", {"timescale": 0}, "timescale"),
    ("power", {"timescale": 0.1, "exponent": -1}, "exponent"),
    ("knots", {"positions": [0.5, 0.2], "values": [1, 1]}, "positions"),
    ("knots", {"positions": [0.5], "values": [1, 1]}, "values"),
    ("knots", {"positions": [0, 1], "values": [1, 0], "interpolation": "log"}, "values"),
    ("expression", {"formula": ""}, "formula"),
    ("expression", {"formula": "v + 1"}, "formula"),
    ("expression", {"formula": "1", "numbers": {"a": 1}}, "numbers.a"),
    ("expression", {"formula": "u", "numbers": {"u": 1}}, "numbers"),
    ("plateau", {"factor": 1}, "factor"),
    ("plateau", {"patience": -0.1}, "patience"),
    ("plateau", {"threshold": -1}, "threshold"),
    ("plateau", {"reverse": True}, "reverse"),
    ("plateau", {"restarts": {"count": 2}}, "restarts"),
    ("script", {"warmup": WARMUP}, "warmup"),
    ("cosine", {"warmup": {"fraction": 0}}, "warmup.fraction"),
    ("cosine", {"warmup": {"fraction": 1}}, "warmup.fraction"),
    ("cosine", {"warmup": {"fraction": 0.1, "start_factor": 1.5}}, "warmup.start_factor"),
    ("cosine", {"warmup": {"fraction": 0.1, "shape": "exponential"}}, "warmup.start_factor"),
    ("cosine", {"warmup": {"fraction": 0.1, "shape": "cubic"}}, "warmup.shape"),
    ("cosine", {"restarts": {"count": 0}}, "restarts.count"),
    ("cosine", {"restarts": {"count": 2, "length_multiplier": 0}}, "restarts.length_multiplier"),
    ("cosine", {"restarts": {"count": 2, "peak_gamma": 2}}, "restarts.peak_gamma"),
    ("cosine", {"reverse": "sometimes"}, "reverse"),
]

OPTIMIZERS: list[tuple[str, dict[str, Any], str]] = [
    ("sgd", {"momentum": 1}, "momentum"),
    ("sgd", {"momentum": -0.1}, "momentum"),
    ("sgd", {"nesterov": True}, "nesterov"),
    ("sgd", {"weight_decay": -1}, "weight_decay"),
    ("sgd", {"lr": 0.1}, "lr"),
    ("rmsprop", {"alpha": 1.0}, "alpha"),
    ("adam", {"beta1": 1.0}, "beta1"),
    ("adamw", {"beta2": float("nan")}, "beta2"),
    ("adamw", {"eps": 0}, "eps"),
    ("adafactor", {"beta2_decay": 0.8}, "beta2_decay"),
    ("muon", {"ns_steps": 0}, "ns_steps"),
    ("adabound", {"final_lr": 0}, "final_lr"),
]


def refused_field(adapter: TypeAdapter[Any], document: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as caught:
        adapter.validate_python(document)
    problem = problem_from_validation(caught.value)
    assert isinstance(problem, InvalidSpec)
    # pydantic's path begins with the member of the union, which is the kind.
    return (problem.field or "").removeprefix(f"{document['kind']}.")


@pytest.mark.parametrize(("kind", "fields", "field"), SCHEDULES)
def test_a_wrong_schedule_names_its_field(kind: str, fields: dict[str, Any], field: str) -> None:
    """What cannot be meant is refused, never repaired."""
    assert refused_field(ANY_SCHEDULE, {"kind": kind, **fields}) == field


@pytest.mark.parametrize(("kind", "fields", "field"), OPTIMIZERS)
def test_a_wrong_optimizer_names_its_field(kind: str, fields: dict[str, Any], field: str) -> None:
    """What cannot be meant is refused, never repaired."""
    assert refused_field(ANY_OPTIMIZER, {"kind": kind, **fields}) == field


def test_every_family_is_refused_something() -> None:
    """No family accepts everything."""
    assert {kind for kind, _, _ in SCHEDULES} == set(FAMILIES)


@pytest.mark.parametrize("adapter", [ANY_SCHEDULE, ANY_OPTIMIZER])
@pytest.mark.parametrize("document", [{"kind": "nothing"}, {}, {"kind": 1}])
def test_an_unknown_kind_is_refused(adapter: TypeAdapter[Any], document: dict[str, Any]) -> None:
    """A kind that does not exist, or is not given, is an error."""
    with pytest.raises(ValidationError, match="kind"):
        adapter.validate_python(document)


@pytest.mark.parametrize(
    ("optimizer", "schedule"),
    [
        ({"kind": "schedule_free_sgd"}, {"kind": "cosine"}),
        ({"kind": "schedule_free_adamw"}, {"kind": "constant", "restarts": {"count": 2}}),
        ({"kind": "adamw"}, {"kind": "script"}),
    ],
)
def test_a_pair_that_makes_no_sense_is_refused(optimizer: dict[str, Any], schedule: dict[str, Any]) -> None:
    """A schedule-free optimizer takes a constant LR, a script's schedule belongs to its optimizer."""
    with pytest.raises(ValidationError) as caught:
        Candidate.model_validate({"optimizer": optimizer, "initial_lr": 0.1, "schedule": schedule})

    assert problem_from_validation(caught.value).field == "schedule"


@pytest.mark.parametrize("initial_lr", [0, -0.1, float("inf"), float("nan"), None])
def test_an_lr_that_trains_nothing_is_refused(initial_lr: float | None) -> None:
    """The initial LR is a finite number above 0."""
    with pytest.raises(ValidationError) as caught:
        Candidate.model_validate(
            {"optimizer": {"kind": "sgd"}, "initial_lr": initial_lr, "schedule": {"kind": "constant"}}
        )

    assert problem_from_validation(caught.value).field == "initial_lr"


@pytest.mark.parametrize("kind", ["plateau", "script"])
def test_what_is_no_function_of_the_step_has_no_curve(kind: str) -> None:
    """A plateau needs metrics and a script has to run: both say so."""
    schedule = ANY_SCHEDULE.validate_python({"kind": kind})

    with pytest.raises(Unsupported):
        factors(schedule, np.arange(3), 3)

    check_horizon(schedule, 3)
