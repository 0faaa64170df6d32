"""Packs by torch.compile, compiled for real."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.small_task import SmallTask
from workers.packing.layout import Layout
from workers.packing.stacked import Batch, Stacked
from workers.packing.ways import Computation, pattern


class WithoutDropout(SmallTask):
    """The small task, for torch.compile."""

    def model(self, seed: int) -> nn.Module:
        return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch, in its own compiler
def test_compiled_gradients_are_those_of_each_alone(caplog: pytest.LogCaptureFixture) -> None:
    """The task's losses and gradients by torch.compile, for 3 trials: within 1e-5 of the way that it compiles."""
    task = WithoutDropout()
    model = pattern(task, task.model(0))
    layout = Layout(task, model)
    values = dict(model.named_parameters())
    stacked = Stacked([torch.stack([(1 + n) * values[name].detach() for n in range(3)]) for name in layout.names], {})
    batch = Batch(task.batch(0, 0), is_shared=True)
    eager, compiled = (Computation(task, model, layout.names, way) for way in ("gradient", "compiled"))

    losses, gradients = eager.gradients(stacked, batch)
    found = compiled.gradients(stacked, batch)

    torch.testing.assert_close(found[0], losses, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(list(found[1]), list(gradients), rtol=1e-5, atol=1e-5)
    assert "torch.compile failed" not in caplog.text
