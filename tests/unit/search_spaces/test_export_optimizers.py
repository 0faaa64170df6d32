"""The exported optimizer makes our updates."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import numpy as np
import pytest
import torch

from etude.torch import build
from search_spaces.export import export
from search_spaces.export.optimizers import ORIGINS
from search_spaces.optimizers import OPTIMIZERS
from search_spaces.problems import Unsupported
from tests.unit.search_spaces.exported import candidate, defined_by, executed, expected_lr, rates, weights


class Embedded(torch.nn.Module):
    """A small model with matrices, vectors and, if asked for, sparse gradients only."""

    def __init__(self, *, sparse: bool) -> None:
        super().__init__()
        self.words = torch.nn.Embedding(5, 3, sparse=sparse)
        self.rest = torch.nn.Identity() if sparse else torch.nn.Linear(3, 2)


def trained(model: torch.nn.Module, optimizer: torch.optim.Optimizer, scheduler: Any) -> list[torch.Tensor]:
    """The parameters after six updates."""
    for step in range(6):
        model.rest(model.words(torch.tensor([step % 5, 1]))).pow(2).sum().backward()  # type: ignore[operator]
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
    return [parameter.detach() for parameter in model.parameters()]


@pytest.mark.parametrize("kind", [*ORIGINS, "muon"])
def test_the_exported_optimizer_makes_our_updates(kind: str) -> None:
    """Bit for bit the parameters that `etude.torch.build` trains to, for every optimizer that is installed."""
    schedule = {"kind": "constant", "warmup": {"fraction": 0.5}}
    wish = candidate(schedule, optimizer={"kind": kind}, initial_lr=0.01)
    torch.manual_seed(0)
    ours = Embedded(sparse=kind == "sparse_adam")
    theirs = copy.deepcopy(ours)
    before = [parameter.detach().clone() for parameter in ours.parameters()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the packages themselves warn of
        expected = trained(ours, *build(wish, ours.parameters(), 6))

        drawn = trained(theirs, *executed(export(wish, 6, "pytorch"))["build"](theirs.parameters()))

    assert any(not torch.equal(old, new) for old, new in zip(before, expected, strict=True))
    assert all(torch.equal(one, other) for one, other in zip(expected, drawn, strict=True))


def test_muon_goes_on_from_a_saved_state() -> None:
    """A state that is loaded is what the next update uses."""
    wish = candidate({"kind": "constant"}, optimizer={"kind": "muon"}, initial_lr=0.01)
    make = executed(export(wish, 100, "pytorch"))["build"]
    torch.manual_seed(0)
    straight = Embedded(sparse=False)
    optimizer, scheduler = make(straight.parameters())
    trained(straight, optimizer, scheduler)
    resumed = copy.deepcopy(straight)
    later, later_scheduler = make(resumed.parameters())
    later.load_state_dict(copy.deepcopy(optimizer.state_dict()))

    expected, drawn = trained(straight, optimizer, scheduler), trained(resumed, later, later_scheduler)

    assert all(torch.equal(one, other) for one, other in zip(expected, drawn, strict=True))


@pytest.mark.parametrize("kind", [kind for kind, origin in ORIGINS.items() if origin.package])
def test_an_optimizer_from_elsewhere_says_what_to_install(kind: str) -> None:
    """The text names the package, and is Python."""
    text = export(candidate({"kind": "constant"}, optimizer={"kind": kind}), 10, "pytorch")

    compile(text, "<exported>", "exec")
    assert f"# pip install {ORIGINS[kind].package}" in text


def test_a_script_s_own_optimizer_is_refused() -> None:
    """Every kind is either written or refused by name."""
    left = set(OPTIMIZERS) - set(ORIGINS)

    assert left == {"muon", "script"}
    with pytest.raises(Unsupported) as caught:
        export(candidate({"kind": "constant"}, optimizer={"kind": "script"}), 10, "lightning")
    assert caught.value.field == "optimizer.kind"


def test_a_schedule_for_a_script_s_own_optimizer() -> None:
    """The text sets the schedule on an optimizer that is there; its groups keep their ratios at every step."""
    wish = candidate({"kind": "cosine", "end_factor": 0.1}, optimizer={"kind": "script"}, initial_lr=0.4)
    groups = [{"params": weights(), "lr": 0.1}, {"params": weights(), "lr": 0.02}]
    own = torch.optim.SGD(groups, momentum=0.9)

    optimizer, scheduler = defined_by(wish, 20, "pytorch")["build"](own)

    assert optimizer is own
    expected = expected_lr(wish, 20)
    np.testing.assert_allclose(rates(own, scheduler, 20), np.stack([expected, 0.2 * expected], axis=1), rtol=1e-12)
