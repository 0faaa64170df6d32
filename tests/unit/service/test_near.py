"""Points near the best ones known."""

from __future__ import annotations

import math

from search_spaces.ranges import Scalar
from search_spaces.space import Space, resolve_space
from search_spaces.study import SamplerSpec, SpaceSpec
from service.near import near_point
from service.sampling import Drawing
from store.proposals import Past
from tests.studies import draw

SPACE = resolve_space(SpaceSpec(), 64)


def drawing(space: Space = SPACE, seed: int = 0) -> Drawing:
    return Drawing(space, "minimize", SamplerSpec(), seed)


def trial(params: dict[str, Scalar], value: float, state: str = "complete") -> Past:
    return Past(0, 0, "search", "sampler", state, params, None, value, seed=0)


def drawn(seed: int) -> dict[str, Scalar]:
    """A random point of the space."""
    import random

    dice = random.Random(seed)
    return SPACE.suggest(lambda _name, allowed: draw(allowed, dice))[1]


def test_it_is_a_point_of_the_space_and_the_same_for_the_same_place() -> None:
    """Whatever the best point's kinds are; another place is another point."""
    history = [trial(drawn(seed), float(seed)) for seed in range(20)]

    points = [near_point(drawing(), history, seq) for seq in range(60)]

    assert all(point is not None and SPACE.candidate_of(point.params) == point.candidate for point in points)
    assert points == [near_point(drawing(), history, seq) for seq in range(60)]
    assert len({str(point) for point in points}) > 50


def test_it_goes_a_small_step_from_one_of_the_three_best() -> None:
    """Nine in ten choices stay; an LR is within a few tenths of its range of the best one's."""
    space = resolve_space(SpaceSpec(optimizers=["adamw"], schedules=["cosine"], warmup=False), 64)
    best, worse = ({"optimizer": "adamw", "adamw.lr": lr, "schedule": "cosine"} for lr in (1e-3, 1e-5))
    known = space.suggest(lambda _name, allowed: allowed.ends[0])[1]
    history = [trial(known | best, 1.0), *[trial(known | best, 1.1)] * 2, *[trial(known | worse, 2.0)] * 9]

    points = [near_point(drawing(space), history, seq) for seq in range(200)]

    far = [abs(math.log10(point.candidate.initial_lr) + 3) for point in points if point is not None]
    assert len(far) == 200
    width = math.log10(space.ranges()["adamw.lr"].high / space.ranges()["adamw.lr"].low)  # type: ignore[union-attr]
    assert max(far) < 0.4 * width
    assert sorted(far)[100] < 0.04 * width


def test_without_a_complete_trial_there_is_no_such_point() -> None:
    """Nor from one whose parameters are not the space's."""
    history = [trial(drawn(0), 1.0, state="pruned"), trial({"optimizer": "other"}, 1.0)]

    assert near_point(drawing(), history, 0) is None
