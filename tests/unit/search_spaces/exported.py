"""What the tests of exports share: candidates, execution of a text, and specs of every kind with its modifiers."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch

from search_spaces.candidate import Candidate
from search_spaces.export import Framework, export
from search_spaces.schedules import FAMILIES, Schedule, curve

Document = dict[str, Any]

LR = 0.1


def candidate(schedule: Document | Schedule, **fields: Any) -> Candidate:
    """A candidate with this schedule; SGD with momentum and an initial LR of 0.1 unless `fields` say otherwise."""
    document = schedule.model_dump() if isinstance(schedule, Schedule) else schedule
    return Candidate.model_validate({
        "optimizer": {"kind": "sgd", "momentum": 0.9}, "initial_lr": LR, "schedule": document, **fields,
    })  # fmt: skip


def executed(text: str) -> dict[str, Any]:
    """What a text defines."""
    defined: dict[str, Any] = {}
    exec(compile(text, "<exported>", "exec"), defined)
    return defined


def defined_by(wish: Candidate, horizon: int, framework: Framework, **options: Any) -> dict[str, Any]:
    """What the exported text of a candidate defines."""
    return executed(export(wish, horizon, framework, **options))


def weights() -> list[torch.nn.Parameter]:
    """Something to optimize."""
    return [torch.nn.Parameter(torch.zeros(2))]


def rates(optimizer: torch.optim.Optimizer, scheduler: Any, steps: int) -> list[list[float]]:
    """The LR of every group before each of `steps` updates."""
    seen = []
    with warnings.catch_warnings():
        # torch's own SequentialLR calls a deprecated form of step in some versions.
        warnings.simplefilter("ignore")
        for _ in range(steps):
            seen.append([float(group["lr"]) for group in optimizer.param_groups])
            optimizer.step()
            scheduler.step()
    return seen


def expected_lr(wish: Candidate, horizon: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Our LR at every update."""
    return wish.initial_lr * curve(wish.schedule, horizon)


class Model(torch.nn.Module):
    """What Lightning's module and transformers' model are to the texts: named parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = torch.nn.Linear(2, 2)
        self.head = torch.nn.Linear(2, 1)


BODIES: list[Document] = [
    {"kind": "constant"},
    {"kind": "piecewise", "boundaries": [0.3, 0.6], "values": [1.0, 0.5, 0.05]},
    {"kind": "step", "step_size": 0.22, "gamma": 0.3},
    {"kind": "multistep", "milestones": [0.3, 0.3, 0.8], "gamma": 0.4},
    {"kind": "exponential", "final_factor": 0.001},
    {"kind": "natural_exponential", "rate": 4.0},
    {"kind": "inverse_time", "decay": 30.0},
    {"kind": "linear", "end_factor": 0.1},
    {"kind": "linear", "start_factor": 0.3, "end_factor": 1.0},
    {"kind": "polynomial", "power": 2.0, "end_factor": 0.01, "cycle_length": 0.7},
    {"kind": "polynomial", "power": 0.5, "cycle": True, "cycle_length": 0.3},
    {"kind": "cosine", "end_factor": 0.01},
    {"kind": "cosine", "cycles": 1.75},
    {"kind": "noam", "peak": 0.2},
    {"kind": "one_cycle"},
    {"kind": "one_cycle", "anneal": "linear", "three_phase": True, "div_factor": 10.0},
    {"kind": "cyclic", "floor": 0.1, "cycle_length": 0.25, "up_fraction": 0.3},
    {"kind": "cyclic", "floor": 0.1, "cycle_length": 0.25, "mode": "triangular2"},
    {"kind": "cyclic", "floor": 0.0, "cycle_length": 0.25, "mode": "exp_range", "gamma": 0.97},
    {"kind": "wsd", "decay_fraction": 0.3},
    {"kind": "wsd", "decay_fraction": 0.3, "shape": "cosine", "end_factor": 0.1},
    {"kind": "wsd", "decay_fraction": 0.3, "shape": "sqrt"},
    {"kind": "wsd", "decay_fraction": 0.3, "shape": "exponential", "end_factor": 0.01},
    {"kind": "rex", "beta": 0.7},
    {"kind": "tanh"},
    {"kind": "two_point", "peak_at": 0.1, "y1": 0.6, "delta1": 0.4, "delta2": 0.5, "delta_y": 0.3},
    {"kind": "two_point", "peak_at": 0.1, "y1": 0.6, "delta1": 0.4, "delta2": 0.5, "delta_y": 0.3,
     "interpolation": "pchip"},
    {"kind": "inverse_sqrt", "timescale": 0.1},
    {"kind": "power", "timescale": 0.1, "exponent": 0.8},
    {"kind": "knots", "positions": [0.0, 0.4, 1.0], "values": [0.2, 1.0, 0.01]},
    {"kind": "knots", "positions": [0.1, 0.4, 0.9], "values": [0.2, 1.0, 0.01], "interpolation": "log"},
    {"kind": "expression", "formula": "a * (1 - u) + where(t < T / 2, 0.5, 0)", "numbers": {"a": 0.5}},
]  # fmt: skip
"""Every kind that is a function of the step, in each of its forms."""

MODIFIERS: dict[str, Document] = {
    "plain": {},
    "warmed": {"warmup": {"fraction": 0.15}},
    "warmed-from": {"warmup": {"fraction": 0.15, "start_factor": 0.1, "inclusive": False}},
    "warmed-cosine": {"warmup": {"fraction": 0.15, "shape": "cosine"}},
    "warmed-exponential": {"warmup": {"fraction": 0.15, "shape": "exponential", "start_factor": 0.01}},
    "warmed-constant": {"warmup": {"fraction": 0.15, "shape": "constant", "start_factor": 0.2}},
    "restarted": {"restarts": {"count": 3, "length_multiplier": 1.5, "peak_gamma": 0.7}},
    "reversed": {"reverse": True},
    "all": {"warmup": {"fraction": 0.15}, "restarts": {"count": 2}, "reverse": True},
}
"""The modifiers, alone and together."""

HORIZON = 60
"""Long enough for two cycles of every body behind a warm-up."""

SPECS = [
    pytest.param({**body, **modifiers}, id=f"{number}-{body['kind']}-{name}")
    for number, body in enumerate(BODIES)
    for name, modifiers in MODIFIERS.items()
    if not set(modifiers) & set(FAMILIES[body["kind"]].refuses)
]
"""For parametrize: every body with every modifier that its kind takes."""
