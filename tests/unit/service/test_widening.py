"""Ranges that grow at the end at which a finalist sat."""

from __future__ import annotations

import pytest

from search_spaces.ranges import AnyRange, Choice, FloatRange, IntRange, Scalar
from search_spaces.space import resolve_space
from search_spaces.study import SpaceSpec
from service.widening import edges, wider, with_ranges


@pytest.mark.parametrize(
    ("range_", "value", "ends"),
    [
        (FloatRange(low=0.001, high=0.1, log=True), 0.1, [0.001, 0.3]),
        (FloatRange(low=0.003, high=0.1, log=True), 0.003, [0.001, 0.1]),
        (FloatRange(low=0.0, high=0.2), 0.2, [0.0, 0.3]),
        (FloatRange(low=0.5, high=0.9), 0.5, [0.3, 0.9]),
        (FloatRange(low=0.1, high=0.9), 0.1, [0.0, 0.9]),
        (FloatRange(low=0.9, high=0.97, one_minus=True), 0.97, [0.9, 0.99]),
        (FloatRange(low=0.9, high=0.97, one_minus=True), 0.9, [0.7, 0.97]),
        (IntRange(low=1, high=4), 4, [1, 6]),
        (IntRange(low=3, high=4), 3, [2, 4]),
    ],
)
def test_a_range_grows_at_the_end_where_the_value_sits(range_: AnyRange, value: Scalar, ends: list[float]) -> None:
    """By a factor of three on a scale of logarithms, by half of its width on another."""
    found = wider(range_, value)

    assert found is not None
    assert found.ends == pytest.approx(ends)
    assert getattr(found, "log", None) == getattr(range_, "log", None)


@pytest.mark.parametrize(("range_", "value"), [(FloatRange(low=0.0, high=0.2), 0.0), (Choice(choices=["a", "b"]), "a")])
def test_what_cannot_grow_stays(range_: AnyRange, value: Scalar) -> None:
    """A share of 0 has nothing below it, and a choice has no edge."""
    assert wider(range_, value) is None


def test_a_wider_range_is_laid_over_what_a_study_says() -> None:
    """Names become names with ranges, in their order; every other range stays the preset's."""
    said = SpaceSpec(optimizers=["sgd", "adamw"], schedules={"cosine": {"end_factor": FloatRange(low=0.0, high=0.1)}})
    plain = resolve_space(said, 20)
    lr = plain.ranges()["adamw.lr"]
    params: dict[str, Scalar] = {"adamw.lr": lr.ends[1], "cosine.end_factor": 0.1}

    found = edges(plain, params, ["adamw.lr", "cosine.end_factor", "sgd.lr"])
    written = {name: wide.model_dump(mode="json") for name, (_narrow, wide) in found.items()}
    wide = resolve_space(with_ranges(said, plain, written), 20)

    assert set(found) == {"adamw.lr", "cosine.end_factor"}
    changed = {name for name, range_ in wide.ranges().items() if range_ != plain.ranges()[name]}
    assert changed == {"adamw.lr", "cosine.end_factor"}
    assert wide.ranges()["cosine.end_factor"].ends == pytest.approx([0.0, 0.15])
