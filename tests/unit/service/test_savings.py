"""Steps saved, on the noisy quadratic: what is claimed against what the closed form computes."""

from __future__ import annotations

import pytest

from benchmarks.savings import PAIRS, computed_saving, plain_sgd, saved
from search_spaces.candidate import Candidate
from search_spaces.schedules import Cosine
from service.savings import read_horizon


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS.keys())
def test_the_claimed_saving_is_within_a_tenth_of_the_computed_one(pair: tuple[Candidate, Candidate]) -> None:
    """The computed one: the shortest horizon at which the winner's expected loss is the reference's at T."""
    claimed = saved(*pair)

    assert claimed.confirmed
    assert claimed.steps == pytest.approx(computed_saving(*pair), rel=0.1)
    assert claimed.horizon_steps == 200 - claimed.steps
    assert claimed.bound is not None
    assert claimed.margin is not None
    assert claimed.bound > -claimed.margin


def test_two_identical_schedules_claim_none() -> None:
    """The same candidate in both arms gains nothing, on the same noise exactly so."""
    candidate = plain_sgd(0.5, Cosine())

    claimed = saved(candidate, candidate)

    assert (claimed.confirmed, claimed.steps) == (False, 0)
    assert claimed.reason == "the winner does no better than sgd-cosine"


@pytest.mark.parametrize(
    ("losses", "allowed", "steps"),
    [
        ({50: 1.0, 70: 0.5, 100: 0.0}, 0.5, 70),
        ({50: 1.0, 70: 0.5, 100: 0.0}, 5.0, 50),
        ({50: 0.2, 70: 0.5, 100: 0.0}, 0.4, 76),
        ({50: 1.0, 70: 0.5, 100: 0.0}, 0.0, None),
    ],
    ids=["at a point", "beyond all", "noise is no gain", "nothing allowed"],
)
def test_a_horizon_is_read_between_points(losses: dict[int, float], allowed: float, steps: int | None) -> None:
    """Straight against log T, never beyond what was trained; a loss that falls with the horizon counts as flat."""
    assert read_horizon(losses, allowed) == steps
