"""Packed optimizers over 200 updates: row for row the ones that `etude.torch` builds."""

from __future__ import annotations

import pytest
import torch

from search_spaces.optimizers import Optimizer
from tests.packed_rows import FORMS, UPDATES, assert_steps_are_torchs, assert_training_is_torchs, specs_of
from workers.packing.fused import FusedRows


@pytest.fixture(params=FORMS, ids=[f"{group}: {form}" for group, form in FORMS])
def specs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> list[Optimizer]:
    """The rows of a group, stepped in the form that is asked for."""
    group, form = request.param
    if form == "vectorised":
        monkeypatch.setattr(FusedRows, "serves", staticmethod(lambda kind, device: False))
    return specs_of(group)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
def test_every_tenth_step_is_torchs(specs: list[Optimizer], dtype: torch.dtype) -> None:
    """At every tenth update of 200, from torch's state, the step and the state after it are torch's."""
    assert_steps_are_torchs(specs, dtype, UPDATES, late=35)


def test_a_whole_training_is_torchs(specs: list[Optimizer]) -> None:
    """Over 200 updates by themselves, rows there from the start and one that enters later go where torch's go."""
    assert_training_is_torchs(specs, UPDATES, late=35)
