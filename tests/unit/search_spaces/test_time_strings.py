"""Time strings become fractions when a spec meets its horizon, so that the steps they name are the steps played."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from search_spaces.problems import InvalidSpec
from search_spaces.schedules import FAMILIES, AnySchedule, Schedule, curve
from search_spaces.time_strings import has_time_strings, with_fractions

SCHEDULES = TypeAdapter[Schedule](AnySchedule)


@pytest.mark.parametrize("written", ["30ep", "300ba", "0.3dur", "30 ep", "300.0ba"])
def test_a_time_string_is_the_fraction_of_its_steps(written: str) -> None:
    """Three units for the same 300 of 1000 steps."""
    assert with_fractions({"kind": "step", "step_size": written}, 1000, 10)["step_size"] == 0.3


def test_lengths_behind_a_warm_up_are_counted_from_its_end() -> None:
    """A warm-up of 5 epochs, then drops 30 and 60 epochs later: at the very steps 350 and 650."""
    written = {"kind": "multistep", "milestones": ["30ep", "60ep"], "warmup": {"fraction": "5ep"}}

    document = with_fractions(written, 1000, 10)
    factors = curve(SCHEDULES.validate_python(document), 1000)

    assert document["warmup"] == {"fraction": 0.05}
    assert np.flatnonzero(np.diff(factors) < 0).tolist() == [349, 649]


@pytest.mark.parametrize("steps", [1, 7, 333, 999])
@pytest.mark.parametrize("horizon", [1000, 1001, 9999])
def test_every_number_of_updates_comes_back_whole(steps: int, horizon: int) -> None:
    """The drop is at the step that was written, whatever the horizon."""
    document = with_fractions({"kind": "step", "step_size": f"{steps}ba"}, horizon)

    factors = curve(SCHEDULES.validate_python(document), horizon)

    assert int(np.flatnonzero(factors < 1)[0]) == steps


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, family in FAMILIES.items() for name in family.lengths]
)
def test_the_fields_are_those_of_the_family(kind: str, name: str) -> None:
    """Every field of the table exists, and a list of places is one in both."""
    assert name in FAMILIES[kind].model_fields


def test_numbers_are_left_as_they_are() -> None:
    """What is no text is the model's to judge, wrong or not."""
    document: dict[str, Any] = {"kind": "wsd", "decay_fraction": 7, "warmup": {"fraction": None}, "shape": "sqrt"}

    assert with_fractions(document, 100) == document
    assert not has_time_strings(document)
    assert not has_time_strings("30ep")


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"kind": "step", "step_size": "30"}, "schedule.step_size"),
        ({"kind": "step", "step_size": "-3ba"}, "schedule.step_size"),
        ({"kind": "step", "step_size": "3 weeks"}, "schedule.step_size"),
        ({"kind": "step", "step_size": "٣ba"}, "schedule.step_size"),
        ({"kind": "step", "step_size": "3ep"}, "schedule.step_size"),
        ({"kind": "step", "step_size": "101ba"}, "schedule.step_size"),
        ({"kind": "step", "step_size": "95ba", "warmup": {"fraction": "10ba"}}, "schedule.step_size"),
        ({"kind": "cosine", "warmup": {"fraction": "1.5dur"}}, "schedule.warmup.fraction"),
        ({"kind": "multistep", "milestones": [0.5, "x"]}, "schedule.milestones.1"),
        ({"kind": "step", "step_size": "10ba", "restarts": {"count": 2}}, "schedule.step_size"),
    ],
)
def test_a_wrong_time_string_names_its_field(document: dict[str, Any], field: str) -> None:
    """No unit, no number, an epoch of unknown length, or longer than the whole: 100 steps here."""
    with pytest.raises(InvalidSpec) as caught:
        with_fractions(document, 100)

    assert has_time_strings(document)
    assert caught.value.field == field
