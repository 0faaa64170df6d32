"""Ranges: what they hold, where their edges are, and how they are written."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from search_spaces.ranges import AnyRange, Choice, FloatRange, IntRange

ANY_RANGE: TypeAdapter[AnyRange] = TypeAdapter(AnyRange)


@pytest.mark.parametrize(
    "document",
    [
        {"low": 2, "high": 1},
        {"low": 0, "high": 1, "log": True},
        {"low": 0.5, "high": 1, "one_minus": True},
        {"low": 0.1, "high": 0.5, "log": True, "one_minus": True},
        {"low": float("nan"), "high": 1},
        {"low": 0, "high": float("inf")},
        {"low": 0, "high": 1, "step": 0.1},
        {"choices": []},
        {"choices": [1, 1.0]},
        {"choices": [float("inf")]},
        {},
    ],
)
def test_a_range_that_cannot_be_meant_is_refused(document: dict[str, Any]) -> None:
    """Ends out of order, scales that do not fit, choices twice."""
    with pytest.raises(ValidationError):
        ANY_RANGE.validate_python(document)


@pytest.mark.parametrize(
    ("range_", "value", "nearest"),
    [
        (FloatRange(low=0.1, high=0.3), 0.30000000000000004, 0.3),
        (FloatRange(low=0.1, high=0.3), 0.2, 0.2),
        (FloatRange(low=0.1, high=0.3), 0.31, None),
        (FloatRange(low=0.1, high=3), 1, 1.0),
        (FloatRange(low=0.1, high=3), True, None),
        (FloatRange(low=0.1, high=3), "1", None),
        (FloatRange(low=0.1, high=3), float("nan"), None),
        (IntRange(low=1, high=3), 3, 3),
        (IntRange(low=1, high=3), 4, None),
        (IntRange(low=1, high=3), 2.0, None),
        (Choice(choices=[0.1, 0.3]), 0.1 + 0.2, 0.3),
        (Choice(choices=[0, 1]), 1.0, 1),
        (Choice(choices=["a", False]), False, False),
        (Choice(choices=["a", "b"]), "c", None),
        (Choice(choices=[0, 1]), True, None),
    ],
)
def test_a_value_is_put_exactly_onto_its_range(range_: AnyRange, value: Any, nearest: Any) -> None:
    """Rounding is forgiven, anything else is outside."""
    found = range_.nearest(value)

    assert found == nearest
    assert type(found) is type(nearest)
    assert range_.holds(value) == (nearest is not None)


@pytest.mark.parametrize(
    ("range_", "inside", "edges"),
    [
        (FloatRange(low=0, high=1), [0.03, 0.5, 0.97], [0.0, 0.01, 0.99, 1.0]),
        (FloatRange(low=1e-4, high=1, log=True), [1.3e-4, 0.8], [1e-4, 1.1e-4, 0.9, 1.0]),
        (FloatRange(low=0.9, high=0.9999, one_minus=True), [0.95, 0.999], [0.9, 0.9999, 0.99989]),
        (FloatRange(low=0.5, high=0.5), [0.5], []),
        (IntRange(low=1, high=3), [2], [1, 3]),
        (IntRange(low=1, high=1), [1], []),
        (Choice(choices=[1, 2]), [1, 2], []),
    ],
)
def test_an_edge_is_on_the_scale_of_the_range(range_: AnyRange, inside: list[Any], edges: list[Any]) -> None:
    """Within 2 % of an end on the range's own scale; a choice or a single point has none."""
    assert [value for value in inside + edges if range_.at_edge(value)] == edges


@pytest.mark.parametrize(
    "range_",
    [
        FloatRange(low=1, high=3),
        FloatRange(low=1, high=3, log=False),
        FloatRange(low=1, high=3, log=True),
        FloatRange(low=0.1, high=0.3, one_minus=True),
        IntRange(low=1, high=3),
        Choice(choices=[0.5, 1, "a", False, None]),
    ],
)
def test_json_brings_a_range_back(range_: AnyRange) -> None:
    """The same range, and whether it said its scale, survive storage."""
    again = ANY_RANGE.validate_json(ANY_RANGE.dump_json(range_))

    assert again == range_
    assert type(again) is type(range_)
    assert again.model_fields_set == range_.model_fields_set or isinstance(range_, IntRange)
