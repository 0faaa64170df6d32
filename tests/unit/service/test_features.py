"""Features: what two candidates share that train alike, and that every point of a space has them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from search_spaces.candidate import Candidate
from search_spaces.space import Space, resolve_space
from search_spaces.study import SpaceSpec
from service.features import LEVEL, SHAPE, Features, Vector

from .made import random_point

HORIZON = 200
EVERYTHING = resolve_space(SpaceSpec(preset="everything"), 500)


def of(space: Space, candidate: Candidate, horizon: int = HORIZON) -> Vector:
    params = space.params_of(candidate)
    assert params is not None
    return Features(space, horizon).of([(candidate, params)])[0]


def candidate(schedule: dict[str, Any], optimizer: dict[str, Any] | None = None, lr: float = 0.01) -> Candidate:
    said = {"optimizer": optimizer or {"kind": "adam", "weight_decay": 0.0}, "initial_lr": lr, "schedule": schedule}
    return Candidate.model_validate(said)


def test_every_point_has_finite_features_of_one_length() -> None:
    """Of every kind of schedule and optimizer, of those without a curve of their own too; whatever the horizon."""
    points = [random_point(EVERYTHING, seed) for seed in range(300)]

    assert {one.schedule.kind for one, _ in points} == set(EVERYTHING.schedules)
    for horizon in (200, 30_000):
        features = Features(EVERYTHING, horizon)
        found = features.of(points)
        assert found.shape == (300, len(features.groups))
        assert np.isfinite(found).all()


def test_the_same_curve_is_the_same_point_whatever_its_name() -> None:
    """A polynomial of power 1 is a line."""
    line, power = candidate({"kind": "linear"}), candidate({"kind": "polynomial", "power": 1.0})

    assert of(EVERYTHING, line) == pytest.approx(of(EVERYTHING, power))


def test_another_lr_is_another_level_of_the_same_shape() -> None:
    """Twice the LR is log 2 further up, and nothing else."""
    space = resolve_space(SpaceSpec(optimizers=["adam"], schedules=["cosine"], warmup=False), 64)
    low, high = (of(space, candidate({"kind": "cosine"}, lr=lr)) for lr in (0.005, 0.01))

    apart = high - low
    groups = Features(space, HORIZON).groups
    assert apart[groups == LEVEL] == pytest.approx([np.log(2)])
    assert apart[groups != LEVEL] == pytest.approx(np.zeros((groups != LEVEL).sum()))


def test_momentum_is_part_of_the_lr() -> None:
    """An LR of 0.1 with momentum 0.9 goes as far as one of 0.2 with 0.8."""
    far, near = (
        candidate({"kind": "cosine"}, {"kind": "sgd", "momentum": m, "nesterov": False, "weight_decay": 1e-4}, lr)
        for m, lr in ((0.9, 0.1), (0.8, 0.2))
    )

    groups = Features(EVERYTHING, HORIZON).groups
    same = (groups == LEVEL) | (groups == SHAPE)
    assert of(EVERYTHING, far)[same] == pytest.approx(of(EVERYTHING, near)[same])
