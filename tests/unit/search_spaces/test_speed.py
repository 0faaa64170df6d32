"""Curves of long trainings are quick."""

from __future__ import annotations

import time
from typing import Any

import pytest

from search_spaces.schedules import Schedule, curve
from tests.unit.search_spaces.exported import BODIES, candidate

LONG = 1_000_000
PROMISED_SECONDS = 0.05


@pytest.mark.parametrize("document", BODIES, ids=lambda document: document["kind"])
def test_a_million_steps_take_less_than_promised(document: dict[str, Any]) -> None:
    """In processor time, the best of up to twenty: every form of every kind but plateau."""
    schedule = candidate(document).schedule

    assert any(seconds(schedule) < PROMISED_SECONDS for _ in range(20))


def seconds(schedule: Schedule) -> float:
    """Processor time of one curve."""
    began = time.process_time()
    curve(schedule, LONG)
    return time.process_time() - began
