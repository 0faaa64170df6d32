"""Optimizer specs: torch's defaults, ranges that their parameters allow."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter

from search_spaces.corners import corners
from search_spaces.optimizers import BUILDABLE, OPTIMIZERS, AnyOptimizer, Optimizer

ANY_OPTIMIZER: TypeAdapter[AnyOptimizer] = TypeAdapter(AnyOptimizer)

FROM_TORCH: dict[str, type[torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD, "adagrad": torch.optim.Adagrad, "rmsprop": torch.optim.RMSprop, "adam": torch.optim.Adam,
    "amsgrad": torch.optim.Adam, "adamw": torch.optim.AdamW, "nadam": torch.optim.NAdam, "nadamw": torch.optim.NAdam,
    "radam": torch.optim.RAdam, "adamax": torch.optim.Adamax, "adadelta": torch.optim.Adadelta,
    "sparse_adam": torch.optim.SparseAdam, "adafactor": torch.optim.Adafactor, "muon": torch.optim.Muon,
}  # fmt: skip
OUR_OWN = {("nadamw", "weight_decay"), ("muon", "eps")}
"""Defaults that differ from torch's on purpose: NAdamW decays as AdamW does, Muon's eps is that of its AdamW part."""
RENAMED = {"clipping": "d", "adjust": "adjust_lr_fn"}


def torch_defaults(kind: str) -> dict[str, Any]:
    parameters = inspect.signature(FROM_TORCH[kind]).parameters
    defaults = {name: parameter.default for name, parameter in parameters.items()}
    beta1, beta2 = defaults.pop("betas", (0.9, 0.999))
    return defaults | {"beta1": beta1, "beta2": beta2}


@pytest.mark.parametrize("kind", FROM_TORCH)
def test_defaults_are_torchs(kind: str) -> None:
    """A spec without parameters is the optimizer that torch makes without them."""
    defaults = torch_defaults(kind)

    spec = OPTIMIZERS[kind].from_params({})

    for name, value in spec.to_params().items():
        if (kind, name) not in OUR_OWN and name != "adjust":
            assert value == defaults[RENAMED.get(name, name)], name


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_json_brings_a_spec_back(kind: str) -> None:
    """A spec written to JSON and read again is the same."""
    spec = OPTIMIZERS[kind].from_params({})

    assert ANY_OPTIMIZER.validate_json(spec.model_dump_json()) == spec


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_every_corner_of_the_ranges_is_a_spec(kind: str) -> None:
    """The searched ranges hold nothing that the spec refuses."""
    cls: type[Optimizer] = OPTIMIZERS[kind]

    specs = [cls.from_params(corner) for corner in corners(cls.ranges, cls.is_active)]

    assert all(spec.kind == kind for spec in specs)
    assert 0 < cls.lr_range.low < cls.lr_range.high
    assert cls.lr_range.log


def test_what_is_built_has_a_spec() -> None:
    """No optimizer is called buildable that the catalogue does not know."""
    assert set(OPTIMIZERS) >= BUILDABLE


def test_nesterov_is_not_searched_without_momentum() -> None:
    """Where a momentum of 0 is drawn, nesterov is left alone: torch refuses the pair."""
    sgd = OPTIMIZERS["sgd"]

    assert sgd.is_active("nesterov", {"momentum": 0.9})
    assert not sgd.is_active("nesterov", {"momentum": 0.0})
    assert not sgd.is_active("nesterov", {})
