"""The benchmark of a family stage: what it trains, and where its numbers come from."""

from __future__ import annotations

import math

import pytest

from benchmarks.family_stage import RATES, Staged, Variant, narrowed, row_of, shapes_of, short_losses
from benchmarks.pruning.grounds import Bowl
from benchmarks.pruning.quadratic import REGIMES
from search_spaces.schedules import curve

TASK = "quadratic B=4"


@pytest.fixture(scope="module")
def ground() -> Bowl:
    return Bowl(TASK)


def test_a_shape_is_at_each_lr_in_the_middle_of_its_ranges(ground: Bowl) -> None:
    """LRs at a sixth, the half and five sixths of the range's logarithm; nothing else differs."""
    found = shapes_of(ground.space, "wsd")

    low, high = (float(end) for end in ground.space.optimizers["sgd"]["lr"].ends)
    assert [one.initial_lr for one in found] == pytest.approx([low * (high / low) ** s for s in (1 / 6, 1 / 2, 5 / 6)])
    assert len({one.schedule.model_dump_json() for one in found}) == 1
    assert len(found) == RATES


def test_the_stage_trains_whole_schedules_over_a_tenth(ground: Bowl) -> None:
    """The loss is that of the problem itself after twenty updates of the schedule drawn for them."""
    (candidate, *_) = shapes_of(ground.space, "linear")

    loss = short_losses(TASK, [candidate])[0]

    rates = candidate.initial_lr * curve(candidate.schedule, 20)
    assert loss == REGIMES[TASK].problem.losses(rates)[-1]


def test_a_narrowed_space_stays_inside_the_old_one(ground: Bowl) -> None:
    """A factor of five up and down, within the range."""
    lr = narrowed(ground.space, 1.0).optimizers["sgd"]["lr"]

    assert lr.ends == pytest.approx([0.2, 2.0])


def test_a_search_begins_with_what_the_stage_has_spent(ground: Bowl) -> None:
    """Its first proposal is the stage's; before the first end the regret is infinite."""
    first = tuple(shapes_of(ground.space, "linear"))[1:2]
    search = Staged(Variant(ground.space, 2.4, first), ground.steps, 0)

    proposed = search.propose()
    search.go_on(ground, ground.shown([proposed], [set()])[0])

    assert proposed == first[0]
    assert search.at(2.0) == math.inf
    assert 0 < search.at(4.0) < math.inf
    assert row_of("x", [search], [4]).startswith("| x | ")
