"""The estimate of the time left."""

from __future__ import annotations

import pytest

from etude.pace import Pace, planned_confirmation
from tests.unit.etude.answers import study_view


def seen(pace: Pace, *looks: tuple[float, int], full_cost: float | None = None) -> float | None:
    """Show the pace a search at (seconds, trials ended); return its last estimate."""
    left = None
    for now, ended in looks:
        left = pace.seconds_left(now, study_view(counts={"complete": ended}), full_cost)
    return left


def test_too_little_seen_gives_no_estimate() -> None:
    """Two ends of trials say nothing yet."""
    assert seen(Pace(), (0.0, 0), (1.0, 1), (2.0, 2), full_cost=1.0) is None


def test_the_confirmation_is_part_of_the_time_left() -> None:
    """One trial a second: 30 to go, and five arms on nine seeds at twice the price."""
    left = seen(Pace(), *[(float(second), second) for second in range(11)], full_cost=2.0)

    assert left == pytest.approx(30 + 2 * 5 * 9)


def test_the_rate_is_that_of_the_latest_trials() -> None:
    """The first trials are full-length baselines; the estimate forgets them."""
    slow = [(10.0 * ended, ended) for ended in range(10)]
    quick = [(100.0 + ended, 10 + ended) for ended in range(20)]

    left = seen(Pace(), *slow, *quick, full_cost=0.0)

    assert left == pytest.approx(11.0)


def test_in_the_confirmation_its_own_rate_counts() -> None:
    """Four of eight done in four looks of three seconds each."""
    pace = Pace()
    left = None

    for look in range(5):
        counts = {"complete": look, "leased": 2, "proposed": 6 - look}
        left = pace.seconds_left(3.0 * look, study_view("confirming", confirmation=counts))

    assert left == pytest.approx(3.0 * 4)


@pytest.mark.parametrize("state", ["queued", "paused", "confirming_paused"])
def test_a_study_that_does_not_move_has_no_end_in_sight(state: str) -> None:
    """Nothing is promised while nothing is being done."""
    assert Pace().seconds_left(0.0, study_view(state)) is None


def test_the_plan_of_the_confirmation_is_what_the_spec_asks_for_until_it_is_there() -> None:
    """Default: two candidates and three baselines on nine seeds."""
    before, within = study_view("running"), study_view("confirming", confirmation={"proposed": 9, "complete": 6})

    assert planned_confirmation(before) == 45
    assert planned_confirmation(within) == 15
