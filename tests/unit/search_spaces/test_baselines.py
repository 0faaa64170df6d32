"""Baselines: what they are, and how many trials of a budget they take."""

from __future__ import annotations

import pytest

from search_spaces.baselines import BASELINES, EDGE_FACTORS, default_baselines, edge_allowance, plan_baselines
from search_spaces.optimizers import OPTIMIZERS
from search_spaces.schedules import curve
from search_spaces.space import resolve_space
from search_spaces.study import SpaceSpec

ABC = ["a", "b", "c"]
ALL_NINE = [(name, factor) for factor in (1.0, 0.3, 3.0) for name in ABC]


def test_the_defaults_are_what_people_would_pick() -> None:
    """SGD with cosine, AdamW with warm-up and cosine, AdamW with linear-to-zero; others for sparse gradients."""
    dense, sparse = default_baselines(sparse=False), default_baselines(sparse=True)

    assert dense == list(BASELINES)[:3] == ["sgd-cosine", "adamw-warmup-cosine", "adamw-linear-to-zero"]
    assert sparse == ["sparse-adam-constant", "adagrad-constant"]
    assert all(OPTIMIZERS[BASELINES[name].optimizer.kind].sparse for name in sparse)


@pytest.mark.parametrize(("factor", "lr"), [(0.1, 0.01), (0.3, 0.03), (1.0, 0.1), (3.0, 0.3), (10.0, 1.0)])
def test_a_tuned_baseline_reads_as_a_person_would_write_it(factor: float, lr: float) -> None:
    """3 times 0.1 is 0.3, and not 0.30000000000000004."""
    assert BASELINES["sgd-cosine"].with_lr(factor).initial_lr == lr


@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_has_a_curve(name: str) -> None:
    """A baseline's schedule can be drawn on a short horizon."""
    assert curve(BASELINES[name].schedule, 30).max() <= 1


@pytest.mark.parametrize("name", ["sgd-cosine", "adamw-warmup-cosine", "adamw-linear-to-zero"])
@pytest.mark.parametrize("budget", [4, 40, 400])
@pytest.mark.parametrize("factor", [0.1, 0.3, 1.0, 3.0, 10.0])
def test_the_default_baselines_are_points_of_the_general_space(name: str, budget: int, factor: float) -> None:
    """They are proposed as ordinary trials at every factor, so stock samplers learn from them."""
    space = resolve_space(SpaceSpec(), budget)

    assert space.params_of(BASELINES[name].with_lr(factor)) is not None


@pytest.mark.parametrize(
    ("budget", "planned"),
    [
        (100, ALL_NINE),
        (20, ALL_NINE),
        (19, ALL_NINE[:3]),
        (5, ALL_NINE[:3]),
        (4, ALL_NINE[:2]),
        (3, ALL_NINE[:2]),
        (1, ALL_NINE[:1]),
    ],
)
def test_baselines_take_at_most_half_of_the_budget(budget: int, planned: list[tuple[str, float]]) -> None:
    """From the end of the list factors fall away first, then whole baselines; under 20 trials factor 1 only."""
    assert plan_baselines(ABC, budget) == planned


def test_factors_fall_away_from_the_end_of_the_list() -> None:
    """Five baselines in 22 trials: 11 for them, so five at factor 1 and three with all factors."""
    names = ["a", "b", "c", "d", "e"]

    planned = plan_baselines(names, 22)

    assert planned[:5] == [(name, 1.0) for name in names]
    assert planned[5:] == [(name, factor) for factor in (0.3, 3.0) for name in ("a", "b", "c")]


@pytest.mark.parametrize(
    ("budget", "allowed"), [(100, ABC), (24, ABC), (22, ["a", "b"]), (20, ["a"]), (19, []), (4, [])]
)
def test_edge_trials_fall_away_first(budget: int, allowed: list[str]) -> None:
    """One trial beyond an edge for each baseline that half of the budget still has room for."""
    assert edge_allowance(ABC, budget) == allowed


@pytest.mark.parametrize("budget", range(1, 80))
@pytest.mark.parametrize("count", [1, 3, 10])
def test_no_plan_takes_more_than_half(budget: int, count: int) -> None:
    """Planned and edge trials together are never more than half of the budget, rounded up."""
    names = [f"b{i}" for i in range(count)]

    taken = len(plan_baselines(names, budget)) + len(edge_allowance(names, budget))

    assert taken <= (budget + 1) // 2


def test_an_edge_is_followed_outwards() -> None:
    """Below 0.3 comes 0.1, above 3 comes 10."""
    assert EDGE_FACTORS == {0.3: 0.1, 3.0: 10.0}
