"""The noise between seeds, as estimated from a confirmation's arms."""

from __future__ import annotations

import math

import numpy as np
import pytest

from search_spaces.baselines import BASELINES
from search_spaces.results import Arm
from service.noise import noise_of


def arm(name: str, values: list[float]) -> Arm:
    return Arm(name=name, role="candidate", candidate=BASELINES["adam-constant"], values=dict(enumerate(values)))


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.8])
def test_deviation_and_correlation_are_those_that_made_the_values(correlation: float) -> None:
    """Over 400 made-up confirmations of 5 arms and 7 seeds both come out as drawn, on average."""
    draws = np.random.default_rng(3)
    found = []
    for _ in range(400):
        shared = draws.normal(size=7) * math.sqrt(correlation)
        own = draws.normal(size=(5, 7)) * math.sqrt(1 - correlation)
        values = 0.02 * (shared + own) + np.arange(5)[:, None]
        found.append(noise_of([arm(str(place), row.tolist()) for place, row in enumerate(values)], "made"))

    assert all(one is not None and one.degrees == 30 for one in found)
    variance = np.mean([one.deviation**2 for one in found if one is not None])
    assert math.sqrt(variance) == pytest.approx(0.02, rel=0.05)
    # Below 0 it is cut off, and a ratio of small samples is biased towards 0: near is enough.
    assert np.median([one.correlation for one in found if one is not None]) == pytest.approx(correlation, abs=0.08)


def test_an_arm_that_gave_no_value_on_a_seed_is_left_out() -> None:
    """A diverged training says nothing of the noise."""
    noise = noise_of([arm("a", [1.0, 1.2]), arm("b", [1.0, math.nan])], "made")

    assert noise is not None
    assert (noise.degrees, noise.correlation) == (1, 0.0)
    assert noise.deviation == pytest.approx(math.sqrt(0.02))


def test_nothing_is_known_from_nothing() -> None:
    """No arms, one seed each, or values that never differ: None, and no noise of 0."""
    assert noise_of([], "made") is None
    assert noise_of([arm("a", [1.0])], "made") is None
    assert noise_of([arm("a", [1.0, 1.0])], "made") is None
