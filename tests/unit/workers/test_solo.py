"""One trial at a time: in turn, each to its end, left and taken up at any step."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import torch

from search_spaces.work import ClaimedTask, ClaimedTrial
from tests.small_task import CANDIDATE, DIVERGING, fresh
from workers.engine import Attempt
from workers.solo import Solo


def attempt(number: int = 0, **fields: Any) -> Attempt:
    """A trial of the small task."""
    body: dict[str, Any] = {
        "study": "mine", "number": number, "lease": "l", "lease_expires_at": datetime.now(UTC), "candidate": CANDIDATE,
        "task": ClaimedTask(name="nothing", version="1"), "horizon_steps": 30, "rungs": [5], "seed": 1,
        "purpose": "search",
    }  # fmt: skip
    return Attempt(ClaimedTrial(**(body | fields)))


def to_the_end(solo: Solo) -> list[tuple[int, int]]:
    """Train all; return (trial, step) of every stop."""
    stops = []
    while solo.attempts:
        stops += [(stopped.claimed.number, stopped.steps_done) for stopped in solo.advance(lambda: False)]
    return stops


def test_first_in_first_out() -> None:
    """Each trial goes to its horizon, stop by stop, before the next begins."""
    solo = Solo(fresh()())
    for number in range(2):
        solo.enter(attempt(number))

    stops = to_the_end(solo)

    assert stops == [(number, step) for number in range(2) for step in (5, 10, 20, 30)]


def test_an_interruption_costs_no_step() -> None:
    """Interrupted anywhere, it goes on there and stops where it would have stopped, with the same numbers."""
    plain, interrupted = attempt(), attempt()
    solo, other = Solo(fresh()()), Solo(fresh()())
    solo.enter(plain)
    other.enter(interrupted)
    to_the_end(solo)

    looks = iter(range(10_000))
    stops = []
    while other.attempts:
        stops += [stopped.steps_done for stopped in other.advance(lambda: next(looks) % 3 == 2)]

    assert stops == [5, 10, 20, 30]
    assert interrupted.evaluation == plain.evaluation


def test_a_state_is_taken_up_by_another() -> None:
    """Left at step 13, a trial that enters elsewhere with its state ends as if it had never stopped."""
    whole, first = attempt(), attempt()
    solo, other = Solo(fresh()()), Solo(fresh()())
    solo.enter(whole)
    to_the_end(solo)
    other.enter(first)
    for updates in (5, 5, 3):
        looks = iter(range(100))
        other.advance(lambda looks=looks, updates=updates: next(looks) == updates)
    state = other.state(first)
    other.leave(first)
    resumed = attempt()
    resumed.start = state

    again = Solo(fresh()())
    again.enter(resumed)
    stops = to_the_end(again)

    assert state is not None
    assert state["step"] == 13
    assert stops == [(0, 20), (0, 30)]
    assert resumed.evaluation == whole.evaluation


def test_a_state_of_another_trial_is_not_taken() -> None:
    """What does not fit is left, and the trial begins at 0."""
    solo, misled = Solo(fresh()()), attempt()
    misled.start = {"step": 3, "model": {"weight": torch.zeros(3)}, "optimizer": {"state": {}, "param_groups": []},
                    "scheduler": {}}  # fmt: skip
    solo.enter(misled)

    stops = to_the_end(solo)

    assert [step for _, step in stops] == [5, 10, 20, 30]
    assert misled.start is None


def test_a_failing_trial_makes_way() -> None:
    """Diverged, the first leaves with its reason, and the next one is trained."""
    solo, diverging = Solo(fresh()()), attempt(0, candidate=DIVERGING)
    solo.enter(diverging)
    solo.enter(attempt(1))

    stops = to_the_end(solo)

    assert (diverging.error, diverging.complete) == ("diverged", False)
    assert stops[-1] == (1, 30)


def test_one_that_leaves_takes_its_training_along() -> None:
    """Pruned in the middle, it is gone, and the next one begins at its own step 0."""
    solo, pruned = Solo(fresh()()), attempt(0)
    solo.enter(pruned)
    solo.enter(attempt(1))
    solo.advance(lambda: False)

    solo.leave(pruned)

    assert to_the_end(solo) == [(1, 5), (1, 10), (1, 20), (1, 30)]


def test_nothing_to_save_before_the_first_update() -> None:
    """A trial that waits has no state but the one it came with."""
    solo, waiting = Solo(fresh()()), attempt()
    solo.enter(waiting)

    assert solo.state(waiting) is None
