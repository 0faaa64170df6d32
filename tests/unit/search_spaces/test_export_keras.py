"""Texts for Keras are executed in Keras 3 on torch; it computes the LR in float32."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from etude.torch import build
from search_spaces.export.keras import OPTIMIZERS
from tests.frameworks import keras as imported
from tests.unit.search_spaces.exported import HORIZON, SPECS, candidate, defined_by, expected_lr

FLOAT32 = float(np.finfo(np.float32).eps)
"""One rounding to float32."""
UPDATES = 12


@pytest.fixture(scope="module")
def keras() -> Any:
    """The library."""
    return imported()


@pytest.mark.parametrize("document", SPECS)
def test_the_schedule_in_every_form(document: dict[str, Any], keras: Any) -> None:
    """Every form of every kind with every modifier: each update's own LR, rounded to float32."""
    wish = candidate(document)

    schedule = defined_by(wish, HORIZON, "keras")["Schedule"]()
    drawn = [float(schedule(step)) for step in range(HORIZON)]

    assert isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule)
    np.testing.assert_allclose(drawn, expected_lr(wish, HORIZON), rtol=FLOAT32, atol=1e-15)


def test_the_schedule_is_scaled_held_and_rebuilt(keras: Any) -> None:
    """A ratio, the time after the last update, and what Keras saves."""
    wish = candidate({"kind": "cosine"}, lr_ratios={"backbone": 0.1})
    kind = defined_by(wish, HORIZON, "keras")["Schedule"]
    schedule = kind.from_config(kind(0.1).get_config())

    drawn = [float(schedule(step)) for step in (0, HORIZON - 1, HORIZON, 10 * HORIZON)]

    np.testing.assert_allclose(drawn, 0.1 * expected_lr(wish, HORIZON)[[0, -1, -1, -1]], rtol=FLOAT32)


WISHES: list[tuple[dict[str, Any], dict[str, float | None]]] = [
    ({"kind": "sgd", "momentum": 0.0}, {"momentum": 0.0, "weight_decay": None}),
    ({"kind": "adam", "beta1": 0.8, "beta2": 0.95}, {"beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-8}),
    ({"kind": "adamw", "beta1": 0.8, "weight_decay": 0.3}, {"beta_1": 0.8, "beta_2": 0.999, "weight_decay": 0.3}),
    ({"kind": "lion", "beta1": 0.8, "beta2": 0.95, "weight_decay": 0.3},
     {"beta_1": 0.8, "beta_2": 0.95, "weight_decay": 0.3}),
]  # fmt: skip


def gradients() -> np.ndarray[Any, Any]:
    """(UPDATES, 3) float32, none of them near zero."""
    drawn = np.random.default_rng(3).normal(size=(UPDATES, 3))
    return np.asarray(np.where(np.abs(drawn) < 0.1, 0.5, drawn), dtype=np.float32)


def ours(wish: Any, start: list[float]) -> np.ndarray[Any, Any]:
    """The parameters after each update by `etude.torch.build`, in float32."""
    parameter = torch.nn.Parameter(torch.tensor(start))
    optimizer, scheduler = build(wish, [parameter], UPDATES)
    seen = []
    for gradient in gradients():
        parameter.grad = torch.from_numpy(gradient)
        optimizer.step()
        scheduler.step()
        seen.append(parameter.detach().numpy().copy())
    return np.array(seen)


@pytest.mark.parametrize(("optimizer", "numbers"), WISHES, ids=lambda value: value.get("kind"))
def test_the_optimizer_makes_our_updates(optimizer: dict[str, Any], numbers: dict[str, Any], keras: Any) -> None:
    """Its numbers have arrived; update by update the parameters are ours to 1e-5, in float32."""
    wish = candidate({"kind": "linear", "warmup": {"fraction": 0.3}}, optimizer=optimizer)
    start = [1.0, -2.0, 0.5]

    made = defined_by(wish, UPDATES, "keras")["optimizer"]
    variable, drawn = keras.Variable(np.array(start, dtype=np.float32)), []
    made.build([variable])
    for gradient in gradients():
        made.apply([keras.ops.convert_to_tensor(gradient)], [variable])
        drawn.append(variable.value.detach().numpy().copy())

    assert {name: getattr(made, name) for name in numbers} == numbers
    np.testing.assert_allclose(drawn, ours(wish, start), rtol=1e-5)


def test_every_optimizer_that_is_written_is_compared() -> None:
    """No optimizer of Keras's is taken for ours unseen."""
    assert {optimizer["kind"] for optimizer, _ in WISHES} == set(OPTIMIZERS)


@pytest.mark.parametrize("optimizer", [{"kind": "sgd", "momentum": 0.9}, {"kind": "adam", "weight_decay": 0.1}])
def test_what_keras_does_otherwise_is_said(optimizer: dict[str, Any], keras: Any) -> None:
    """The schedule is there, an optimizer is not."""
    defined = defined_by(candidate({"kind": "rex"}, optimizer=optimizer), HORIZON, "keras")

    assert "Schedule" in defined
    assert "optimizer" not in defined
