"""Points: within the space, the same for the same seed and history, and drawn from what is known."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces.space import Space, resolve_space
from search_spaces.study import SamplerSpec, SpaceSpec
from service.sampling import BEST_KEPT, LATEST_KEPT, Drawing, capped, draw_points
from store.proposals import Past

from .made import random_history, sampled

SPACE = resolve_space(SpaceSpec(), 64)
LR_ONLY = resolve_space(
    SpaceSpec.model_validate({"optimizers": {"adam": {}}, "schedules": ["constant"], "warmup": False}), 64
)


def drawing(space: Space = SPACE, kind: str = "tpe", seed: int = 0) -> Drawing:
    return Drawing(space, "minimize", SamplerSpec.model_validate({"kind": kind}), seed)


@pytest.mark.parametrize("kind", ["tpe", "random"])
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31 - 1), known=st.integers(0, 40), count=st.integers(1, 10))
def test_every_point_lies_in_the_space(kind: str, seed: int, known: int, count: int) -> None:
    """Whatever the history, a point has the parameters of its candidate and is one of the space."""
    points = draw_points(drawing(kind=kind, seed=seed), random_history(SPACE, known), range(known, known + count))

    for point in points:
        assert SPACE.candidate_of(point.params) == point.candidate
        assert SPACE.params_of(point.candidate) is not None


@pytest.mark.parametrize("kind", ["tpe", "random"])
@pytest.mark.parametrize("count", [1, 8, 12])
def test_the_same_history_and_seed_give_the_same_points(kind: str, count: int) -> None:
    """Nothing is kept between calls: a restarted coordinator draws what the first would have drawn."""
    history = random_history(SPACE, 30)

    first = draw_points(drawing(kind=kind, seed=7), history, range(30, 30 + count))
    second = draw_points(drawing(kind=kind, seed=7), history, range(30, 30 + count))

    assert first == second
    assert len({str(point.params) for point in first}) == count


def test_a_point_depends_on_its_place_and_the_study_s_seed() -> None:
    """Another place, or another study, draws another point."""
    history = random_history(SPACE, 30)

    points = [draw_points(drawing(seed=seed), history, [place])[0] for seed, place in ((0, 30), (0, 31), (1, 30))]

    assert len({str(point.params) for point in points}) == 3


def evenly(count: int, **fields: Any) -> list[Past]:
    """That many trials of the LR's space, spread evenly over the logarithm of the LR."""
    points = draw_points(drawing(LR_ONLY, kind="random"), [], range(count))
    drawn = [sampled(LR_ONLY, seq, **fields) for seq in range(count)]
    return [
        replace(past, candidate=point.candidate, params=dict(point.params))
        for past, point in zip(drawn, points, strict=True)
    ]


def test_the_best_region_is_drawn_more_often() -> None:
    """After sixty trials whose loss is least at an LR of 1e-3, twelve points lie closer to it than the trials did."""
    history = [replace(past, value=_decades_from(1e-3, past.params)) for past in evenly(60)]

    points = draw_points(drawing(LR_ONLY), history, range(60, 72))

    distances = [_decades_from(1e-3, point.params) for point in points]
    assert np.median(distances) < 0.7 * np.median([past.value or 0.0 for past in history])


def _decades_from(lr: float, params: Mapping[str, Any]) -> float:
    return abs(math.log10(params["adam.lr"] / lr))


def test_diverged_trials_count_as_the_worst() -> None:
    """Where every high LR has diverged, low ones are drawn; failures of another kind say nothing."""
    trials = evenly(60)
    low = [replace(past, value=1.0) for past in trials if past.params["adam.lr"] < 1e-3]
    high = [past for past in trials if past.params["adam.lr"] >= 1e-3]
    diverged = [replace(past, state="failed", value=None, error="diverged") for past in high]
    broken = [replace(past, error="OSError: no space left") for past in diverged]

    points = draw_points(drawing(LR_ONLY), [*low, *diverged], range(60, 72))

    assert sum(point.candidate.initial_lr < 1e-3 for point in points) >= 9
    assert draw_points(drawing(LR_ONLY), [*low, *broken], [60]) == draw_points(drawing(LR_ONLY), low, [60])


def test_pending_trials_are_seen() -> None:
    """Constant liar: the same history with pending trials gives other points."""
    history = random_history(SPACE, 20)
    pending = [replace(past, state="leased", value=None) for past in random_history(SPACE, 23)[20:]]

    alone = draw_points(drawing(), history, [23])
    beside = draw_points(drawing(), [*history, *pending], [23])

    assert alone != beside


def test_what_open_trials_show_at_a_rung_counts_at_once() -> None:
    """Low LRs that are ahead at a rung are drawn before any trial has ended."""
    leased = [
        replace(past, state="leased", value=None, rungs={10: _decades_from(1e-4, past.params)}) for past in evenly(40)
    ]

    points = draw_points(drawing(LR_ONLY), leased, range(40, 52))

    assert np.median([_decades_from(1e-4, point.params) for point in points]) < 0.5


def test_a_foreign_trial_counts_when_its_params_fit() -> None:
    """One that lies in the space changes what is drawn; one with other parameters does not."""
    history = random_history(SPACE, 12)
    foreign = replace(sampled(SPACE, 50), seq=None, origin="foreign", candidate=None, value=-9.0)
    strange = replace(foreign, params={"x": 1.0})

    drawn = [draw_points(drawing(), [*history, *more], [12]) for more in ([], [foreign], [strange])]

    assert drawn[0] != drawn[1]
    assert drawn[0] == drawn[2]


def test_one_minus_parameters_are_drawn_evenly_in_the_logarithm_of_what_is_missing_to_one() -> None:
    """Half of adam's beta2 in 0.9 ... 0.9999 lie above the middle of log(1 - x), which is 0.99684."""
    points = draw_points(drawing(LR_ONLY, kind="random"), [], range(400))

    above = sum(float(point.params["adam.beta2"] or 0) > 1 - 10**-2.5 for point in points)
    assert 160 <= above <= 240


def test_a_long_history_is_capped_at_its_best_and_latest() -> None:
    """Of 900 ended trials 500 are kept with every open one, in their order."""
    history = [sampled(LR_ONLY, seq, value=float(seq)) for seq in range(900)]
    history += [sampled(LR_ONLY, seq, state="leased", value=None) for seq in range(900, 905)]

    kept = [past.seq for past in capped(history, "minimize")]

    assert kept == [*range(BEST_KEPT), *range(900 - LATEST_KEPT, 905)]
    assert [past.seq for past in capped(history, "maximize")] == [*range(400, 905)]
