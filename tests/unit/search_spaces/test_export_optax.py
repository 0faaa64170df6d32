"""Texts for optax are executed in optax and jax, in jax's usual float32 and in float64.

Both are imported by the tests: every process of a run imports this file, and one of them runs it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from etude.torch import build
from search_spaces.export.optax import OPTIMIZERS
from tests.unit.search_spaces.exported import HORIZON, SPECS, candidate, defined_by, expected_lr

FLOAT32 = 3 * float(np.finfo(np.float32).eps)
"""Three roundings to float32: of the factor, of the initial LR, of their product."""
UPDATES = 12


@pytest.mark.parametrize("document", SPECS)
def test_the_schedule_in_every_form(document: dict[str, Any]) -> None:
    """Every form of every kind with every modifier: to 1e-9 of each update's own LR in float64, else to float32."""
    import jax
    import jax.numpy as jnp

    wish = candidate(document)
    expected = expected_lr(wish, HORIZON)
    counts = jnp.arange(HORIZON)

    single = defined_by(wish, HORIZON, "optax")["schedule"](counts)
    with jax.enable_x64(True):
        double = defined_by(wish, HORIZON, "optax")["schedule"](counts)

    assert (single.dtype, double.dtype) == (jnp.float32, jnp.float64)
    np.testing.assert_allclose(double, expected, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(single, expected, rtol=FLOAT32, atol=1e-15)


def test_the_schedule_may_be_traced_and_is_held_after_the_end() -> None:
    """One count at a time, compiled, beyond the last update too."""
    import jax

    wish = candidate({"kind": "cosine", "warmup": {"fraction": 0.15}})
    expected = expected_lr(wish, HORIZON)
    schedule = jax.jit(defined_by(wish, HORIZON, "optax")["schedule"])

    drawn = [float(schedule(count)) for count in (0, 7, HORIZON - 1, HORIZON, 10 * HORIZON)]

    np.testing.assert_allclose(drawn, expected[[0, 7, -1, -1, -1]], rtol=FLOAT32)


WISHES = [
    {"kind": "sgd"},
    {"kind": "sgd", "momentum": 0.9, "weight_decay": 0.02},
    {"kind": "sgd", "momentum": 0.8, "nesterov": True},
    {"kind": "adam", "beta1": 0.8, "beta2": 0.95, "eps": 1e-4},
    {"kind": "adam", "weight_decay": 0.1},
    {"kind": "adamw", "beta1": 0.8, "beta2": 0.95, "weight_decay": 0.3},
    {"kind": "lion", "beta1": 0.8, "beta2": 0.95, "weight_decay": 0.3},
    {"kind": "rmsprop", "alpha": 0.9, "eps": 1e-4},
    {"kind": "rmsprop", "alpha": 0.9, "momentum": 0.5, "weight_decay": 0.1},
]


def gradients() -> np.ndarray[Any, Any]:
    """(UPDATES, 3) float64, none of them near zero."""
    drawn = np.random.default_rng(3).normal(size=(UPDATES, 3))
    return np.asarray(np.where(np.abs(drawn) < 0.1, 0.5, drawn))


def ours(wish: Any, start: list[float]) -> np.ndarray[Any, Any]:
    """The parameters after each update by `etude.torch.build`, in float64."""
    parameter = torch.nn.Parameter(torch.tensor(start, dtype=torch.float64))
    optimizer, scheduler = build(wish, [parameter], UPDATES)
    seen = []
    for gradient in gradients():
        parameter.grad = torch.from_numpy(gradient)
        optimizer.step()
        scheduler.step()
        seen.append(parameter.detach().numpy().copy())
    return np.array(seen)


@pytest.mark.parametrize("optimizer", WISHES, ids=lambda optimizer: optimizer["kind"])
def test_the_optimizer_makes_our_updates(optimizer: dict[str, Any]) -> None:
    """Update by update, to 1e-9 in float64: its numbers have arrived, and the LR acts when ours does."""
    import jax
    import jax.numpy as jnp
    import optax

    wish = candidate({"kind": "linear", "warmup": {"fraction": 0.3}}, optimizer=optimizer)
    start = [1.0, -2.0, 0.5]

    with jax.enable_x64(True):
        made = defined_by(wish, UPDATES, "optax")["optimizer"]
        params, drawn = jnp.asarray(start), []
        state = made.init(params)
        for gradient in gradients():
            updates, state = made.update(jnp.asarray(gradient), state, params)
            params = optax.apply_updates(params, updates)
            drawn.append(np.asarray(params))

    np.testing.assert_allclose(drawn, ours(wish, start), rtol=1e-9)


def test_every_optimizer_that_is_written_is_compared() -> None:
    """No optimizer of optax's is taken for ours unseen."""
    assert {optimizer["kind"] for optimizer in WISHES} == set(OPTIMIZERS)


def test_groups_have_their_ratio() -> None:
    """The transforms go into optax.multi_transform by the labels of the parameters."""
    import jax.numpy as jnp
    import optax

    wish = candidate({"kind": "linear"}, optimizer={"kind": "sgd"}, lr_ratios={"backbone": 0.1})
    labels = {"backbone": "backbone", "head": "rest"}
    params = {"backbone": jnp.ones(2), "head": jnp.ones(2)}

    made = optax.multi_transform(defined_by(wish, 10, "optax")["transforms"], labels)
    updates, _ = made.update(params, made.init(params), params)

    np.testing.assert_allclose(updates["head"], -0.1 * np.ones(2), rtol=FLOAT32)
    np.testing.assert_allclose(updates["backbone"], -0.01 * np.ones(2), rtol=FLOAT32)


@pytest.mark.parametrize("optimizer", [{"kind": "adagrad"}, {"kind": "rmsprop", "centered": True}])
def test_what_optax_does_otherwise_is_said(optimizer: dict[str, Any]) -> None:
    """The schedule is there, an optimizer is not."""
    defined = defined_by(candidate({"kind": "rex"}, optimizer=optimizer), HORIZON, "optax")

    assert "schedule" in defined
    assert "optimizer" not in defined
