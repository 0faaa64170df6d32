"""Texts for torch are executed, and their LR is compared with ours update by update."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from search_spaces.candidate import Candidate
from search_spaces.export import export
from search_spaces.problems import Problem
from search_spaces.schedules import AnySchedule, Plateau, Schedule, curve
from tests.unit.search_spaces.exported import (
    HORIZON,
    SPECS,
    candidate,
    executed,
    expected_lr,
    rates,
    weights,
)
from tests.unit.search_spaces.specs import DRAWABLE, documents

SCHEDULES = TypeAdapter[Schedule](AnySchedule)


def exported_curve(wish: Candidate, horizon: int) -> list[float]:
    optimizer, scheduler = executed(export(wish, horizon, "pytorch"))["build"](weights())
    return [groups[0] for groups in rates(optimizer, scheduler, horizon)]


@pytest.mark.parametrize("document", SPECS)
def test_torch_gets_our_lr_in_every_form(document: dict[str, Any]) -> None:
    """Every form of every kind with every modifier, to 1e-9 of each update's own LR."""
    wish = candidate(document)

    drawn = exported_curve(wish, HORIZON)

    np.testing.assert_allclose(drawn, expected_lr(wish, HORIZON), rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("kind", DRAWABLE)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(data=st.data(), horizon=st.sampled_from([1, 2, 3, 7, 50, 333]))
def test_torch_gets_our_lr_at_every_update(kind: str, data: st.DataObject, horizon: int) -> None:
    """Every kind, with every modifier that it takes, to 1e-9 of the initial LR."""
    schedule = SCHEDULES.validate_python(data.draw(documents(kind)))
    try:
        expected = 0.1 * curve(schedule, horizon)
    except Problem:
        assume(False)

    drawn = exported_curve(candidate(schedule), horizon)

    np.testing.assert_allclose(drawn, expected, rtol=0, atol=1e-9 * max(0.1, expected.max()))


EXACT = [
    ({"kind": "constant"}, "ConstantLR"),
    ({"kind": "step", "step_size": 0.3}, "StepLR"),
    ({"kind": "multistep", "milestones": [0.5, 0.5, 0.75]}, "MultiStepLR"),
    ({"kind": "exponential", "final_factor": 0.01}, "ExponentialLR"),
    ({"kind": "natural_exponential", "rate": 3.0}, "ExponentialLR"),
    ({"kind": "linear", "end_factor": 0.1}, "LinearLR"),
    ({"kind": "polynomial", "power": 2.0, "cycle_length": 0.5}, "PolynomialLR"),
    ({"kind": "cosine", "end_factor": 0.01}, "CosineAnnealingLR"),
    ({"kind": "cosine", "restarts": {"count": 3, "length_multiplier": 2}}, "CosineAnnealingWarmRestarts"),
    ({"kind": "one_cycle"}, "OneCycleLR"),
    ({"kind": "cyclic", "floor": 0.1, "cycle_length": 0.25, "mode": "triangular2"}, "CyclicLR"),
]
WARMUPS = [
    {"fraction": 0.1},
    {"fraction": 0.1, "start_factor": 0.5},
    {"fraction": 0.1, "start_factor": 0.5, "inclusive": False},
    {"fraction": 0.01, "inclusive": True},
    {"fraction": 0.1, "start_factor": 0.2, "shape": "constant"},
]


@pytest.mark.parametrize(("document", "name"), EXACT)
def test_torch_s_own_class_is_taken_where_it_is_exact(document: dict[str, Any], name: str) -> None:
    """The text names the class, needs no formula, and draws our curve."""
    wish = candidate(document)

    text = export(wish, 70, "pytorch")

    assert f"lr_scheduler.{name}(" in text
    assert "LambdaLR" not in text
    np.testing.assert_allclose(exported_curve(wish, 70), 0.1 * curve(wish.schedule, 70), rtol=0, atol=1e-10)


@pytest.mark.parametrize("document", [document for document, _ in EXACT[:8]])
@pytest.mark.parametrize("warmup", WARMUPS)
def test_a_warm_up_stands_in_front_of_torch_s_classes(document: dict[str, Any], warmup: dict[str, Any]) -> None:
    """SequentialLR joins both, exactly."""
    wish = candidate({**document, "warmup": warmup})

    text = export(wish, 70, "pytorch")

    assert "SequentialLR" in text
    np.testing.assert_allclose(exported_curve(wish, 70), 0.1 * curve(wish.schedule, 70), rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    "document",
    [
        {"kind": "linear", "start_factor": 5e-324, "end_factor": 1.0},
        {"kind": "cosine", "warmup": {"fraction": 0.1, "start_factor": 5e-324, "inclusive": False}},
        {"kind": "cosine", "warmup": {"fraction": 0.1, "start_factor": 0.0, "shape": "constant"}},
    ],
)
def test_a_start_next_to_zero_is_not_multiplied_up(document: dict[str, Any]) -> None:
    """torch's LinearLR goes from each LR to the next; from the smallest number there is it would go astray."""
    wish = candidate(document)

    drawn = exported_curve(wish, 50)

    np.testing.assert_allclose(drawn, 0.1 * curve(wish.schedule, 50), rtol=0, atol=1e-10)


@pytest.mark.parametrize("horizon", [20_000, 150_000])
def test_long_horizons_stay_exact(horizon: int) -> None:
    """Classes that multiply from LR to LR are left where they would drift."""
    wish = candidate({"kind": "cosine"})

    drawn = exported_curve(wish, horizon)

    np.testing.assert_allclose(drawn, 0.1 * curve(wish.schedule, horizon), rtol=0, atol=1e-10)


@pytest.mark.parametrize("document", [{"kind": "cosine", "end_factor": 0.1}, {"kind": "one_cycle"}, {"kind": "rex"}])
def test_groups_keep_their_ratio(document: dict[str, Any]) -> None:
    """Each named group has its share of our LR at every update."""
    wish = candidate(document, lr_ratios={"backbone": 0.1})
    groups = [{"params": weights(), "name": "backbone"}, {"params": weights(), "name": "head"}]

    optimizer, scheduler = executed(export(wish, 50, "pytorch"))["build"](groups)
    drawn = np.array(rates(optimizer, scheduler, 50))

    expected = 0.1 * curve(wish.schedule, 50)
    np.testing.assert_allclose(drawn, np.stack([0.1 * expected, expected], axis=1), rtol=0, atol=1e-10)


@pytest.mark.parametrize("flavour", ["torch", "keras", "paddle"])
@pytest.mark.parametrize("warmup", [None, {"fraction": 0.1}])
@pytest.mark.parametrize("direction", ["minimize", "maximize"])
@pytest.mark.parametrize("cooldown", [0.0, 0.02, 0.05])
def test_a_plateau_decides_as_ours(flavour: str, warmup: Any, direction: Any, cooldown: float) -> None:
    """Evaluation by evaluation, over a metric that stalls again and again."""
    document = {"kind": "plateau", "flavour": flavour, "warmup": warmup, "cooldown": cooldown, "patience": 0.03,
                "factor": 0.5, "min_factor": 0.01}  # fmt: skip
    wish = candidate(document)
    assert isinstance(wish.schedule, Plateau)
    metrics = np.random.default_rng(5).normal(2.0, 0.3, size=100).tolist()
    rule = wish.schedule.rule(100, direction)
    in_force = [1.0, *(rule.feed(metric) for metric in metrics)][:100]
    expected = 0.1 * np.array(in_force) * wish.schedule.warmup_factors(np.arange(100), 100)

    drawn = []
    optimizer, *schedulers = executed(export(wish, 100, "pytorch", direction=direction))["build"](weights(), 100)
    for metric in metrics:
        drawn.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedulers[-1].step(metric)
        if warmup is not None:
            schedulers[0].step()

    assert len(set(in_force)) > 3
    np.testing.assert_allclose(drawn, expected, rtol=0, atol=1e-12)


def test_a_formula_s_line_breaks_do_not_end_a_comment() -> None:
    """A formula may hold line breaks; neither in the comment nor in the code do they become lines of their own."""
    wish = candidate({"kind": "expression", "formula": "(1 #\n- u\n)"})

    drawn = exported_curve(wish, 10)

    np.testing.assert_allclose(drawn, 0.1 * curve(wish.schedule, 10), rtol=0, atol=1e-12)


@pytest.mark.parametrize("formula", ["min(1, 1 / t)", "where(t == 0, 1, 1 / t)", "1 / exp(u * 9999)", "2 ** -t",
                                     "min(9 ** 9 ** 9, 1)", "not (t < 3 and u > 0.1 or t == 9)"])  # fmt: skip
def test_a_formula_goes_through_infinity_as_ours(formula: str) -> None:
    """Where a plain float would raise, numpy's gives the infinity that the formula was checked with."""
    wish = candidate({"kind": "expression", "formula": formula})

    drawn = exported_curve(wish, 20)

    np.testing.assert_allclose(drawn, 0.1 * curve(wish.schedule, 20), rtol=0, atol=1e-12)
