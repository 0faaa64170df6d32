"""The plateau rule, decision for decision against torch, and its flavours."""

from __future__ import annotations

import json
import math
from typing import Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces.modifiers import Warmup
from search_spaces.problems import InvalidSpec
from search_spaces.schedules import Plateau, plateau_factors

EVALUATIONS = 40

metrics = st.lists(st.floats(0.1, 3).map(lambda value: round(value, 2)), min_size=EVALUATIONS, max_size=EVALUATIONS)
specs = st.fixed_dictionaries({
    "factor": st.sampled_from([0.1, 0.5, 0.9]), "patience": st.sampled_from([0.0, 0.025, 0.05, 0.1]),
    "cooldown": st.sampled_from([0.0, 0.05, 0.1]), "threshold": st.sampled_from([0.0, 1e-4, 0.1]),
    "threshold_mode": st.sampled_from(["rel", "abs"]), "min_factor": st.sampled_from([0.0, 0.05]),
})  # fmt: skip


def plateau(fields: dict[str, Any], flavour: str = "torch") -> Plateau:
    return Plateau.model_validate({"kind": "plateau", "flavour": flavour, **fields})


def by_torch(spec: Plateau, values: list[float], mode: Literal["min", "max"]) -> list[float]:
    """Feed torch's own scheduler, at an initial LR of 1."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, mode=mode, factor=spec.factor, patience=round(spec.patience * EVALUATIONS),
        threshold=spec.threshold, threshold_mode=spec.threshold_mode, min_lr=spec.min_factor,
        cooldown=round(spec.cooldown * EVALUATIONS),
    )  # fmt: skip
    rates = []
    for value in values:
        scheduler.step(value)
        rates.append(float(optimizer.param_groups[0]["lr"]))
    return rates


@pytest.mark.parametrize(("direction", "mode"), [("minimize", "min"), ("maximize", "max")])
def test_every_decision_is_torchs(direction: Literal["minimize", "maximize"], mode: Literal["min", "max"]) -> None:
    """Whatever the parameters and metrics, the factor after each evaluation is torch's."""

    @settings(deadline=None, derandomize=True, database=None)
    @given(specs, metrics)
    def holds(fields: dict[str, Any], values: list[float]) -> None:
        rule = plateau(fields).rule(EVALUATIONS, direction)

        factors = [rule.feed(value) for value in values]

        np.testing.assert_allclose(factors, by_torch(plateau(fields), values, mode), rtol=1e-12)

    holds()


def keras_reference(spec: Plateau, values: list[float]) -> list[float]:
    """Follow keras.callbacks.ReduceLROnPlateau, whose min_delta is absolute."""
    lr, best, wait, cooling = 1.0, math.inf, 0, 0
    patience, cooldown = round(spec.patience * EVALUATIONS), round(spec.cooldown * EVALUATIONS)
    rates = []
    for value in values:
        if cooling > 0:
            cooling, wait = cooling - 1, 0
        if value < best - spec.threshold:
            best, wait = value, 0
        elif cooling == 0:
            wait += 1
            if wait >= patience:
                lr, cooling, wait = max(lr * spec.factor, spec.min_factor), cooldown, 0
        rates.append(lr)
    return rates


@settings(deadline=None, derandomize=True, database=None)
@given(specs, metrics)
def test_every_decision_is_keras(fields: dict[str, Any], values: list[float]) -> None:
    """The keras flavour cuts with the patience-th bad evaluation and counts none while it cools."""
    spec = plateau({**fields, "threshold_mode": "abs"}, "keras")
    rule = spec.rule(EVALUATIONS, "minimize")

    factors = [rule.feed(value) for value in values]

    np.testing.assert_allclose(factors, keras_reference(spec, values), rtol=0, atol=1e-7)


def first_cuts(flavour: str, cooldown: float = 0.0) -> list[int]:
    """Return the evaluations at which a metric that never gets better cuts the LR."""
    spec = plateau({"factor": 0.5, "patience": 0.05, "cooldown": cooldown}, flavour)
    rule = spec.rule(EVALUATIONS, "minimize")
    factors = [1.0] + [rule.feed(1.0) for _ in range(EVALUATIONS)]
    return [i for i in range(EVALUATIONS) if factors[i + 1] < factors[i]][:2]


@pytest.mark.parametrize(("flavour", "cuts"), [("torch", [3, 6]), ("paddle", [3, 6]), ("keras", [2, 4])])
def test_flavours_differ_in_how_many_bad_evaluations_they_bear(flavour: str, cuts: list[int]) -> None:
    """With patience 2 keras cuts at the second bad evaluation, torch and Paddle at the third."""
    assert first_cuts(flavour) == cuts


def test_paddle_is_blind_in_the_cooldown() -> None:
    """A best value seen while cooling counts for torch, and is forgotten by Paddle."""
    seen = [2.0, 2.0, 1.0, 1.5, 1.5]
    fields = {"factor": 0.5, "patience": 0.0, "cooldown": 0.2}

    cut = {}
    for flavour in ("torch", "paddle"):
        rule = plateau(fields, flavour).rule(5, "minimize")
        cut[flavour] = [rule.feed(value) for value in seen]

    assert cut["torch"] == [1, 0.5, 0.5, 0.25, 0.25]
    assert cut["paddle"] == [1, 0.5, 0.5, 0.5, 0.25]


def test_a_state_goes_on_where_it_was() -> None:
    """A rule loaded from a checkpoint decides as the one that was saved, through JSON too."""
    values = [1.0, 0.9, 0.95, 0.95, 0.95, 0.95, 0.2, 0.3, 0.3, 0.3, 0.3]
    spec = plateau({"patience": 0.1, "cooldown": 0.1})
    whole, first, second = (spec.rule(20, "minimize") for _ in range(3))
    expected = [whole.feed(value) for value in values]

    before = [first.feed(value) for value in values[:5]]
    second.load(json.loads(json.dumps(first.state())))
    after = [second.feed(value) for value in values[5:]]

    assert before + after == expected


@pytest.mark.parametrize("flavour", ["torch", "keras", "paddle"])
def test_nan_is_never_better(flavour: str) -> None:
    """A metric that is not a number counts as bad, the first one too."""
    rule = plateau({"patience": 0.0, "factor": 0.5}, flavour).rule(4, "minimize")

    assert rule.feed(math.nan) == 0.5


def test_a_preview_spreads_its_metrics_over_the_steps() -> None:
    """The LR of a step is the one in force before the evaluation at its end is fed."""
    spec = Plateau(patience=0.0, factor=0.5)

    drawn = plateau_factors(spec, 8, [1.0, 1.0, 1.0, 1.0])

    assert drawn.tolist() == [1, 1, 1, 1, 0.5, 0.5, 0.25, 0.25]


def test_a_warmup_multiplies_the_rule() -> None:
    """In front of a plateau the LR is the warm-up's factor times the rule's."""
    spec = Plateau(patience=0.0, factor=0.5, warmup=Warmup(fraction=0.75))

    drawn = plateau_factors(spec, 4, [1.0, 1.0, 1.0, 1.0])

    np.testing.assert_allclose(drawn, [1 / 3, 2 / 3, 0.5, 0.25])


@pytest.mark.parametrize("count", [0, 9])
def test_metrics_must_fit_the_steps(count: int) -> None:
    """No metrics, or more of them than steps, is an error of the field `metrics`."""
    with pytest.raises(InvalidSpec) as caught:
        plateau_factors(Plateau(), 8, [1.0] * count)

    assert caught.value.field == "metrics"
