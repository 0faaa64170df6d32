"""The worker's clocks: pauses that grow, and a stop that is seen at once."""

from __future__ import annotations

import threading
import time

import pytest

from workers.periodic import repeating
from workers.timing import Backoff, Stop


def test_pauses_double_up_to_the_longest() -> None:
    """Each pause lies between half of its length and all of it; a reset begins anew."""
    backoff = Backoff(0.2, 2.0)

    pauses = [backoff.pause() for _ in range(6)]

    for pause, whole in zip(pauses, [0.2, 0.4, 0.8, 1.6, 2.0, 2.0], strict=True):
        assert whole / 2 <= pause <= whole
    backoff.reset()
    assert backoff.pause() <= 0.2


def test_pauses_may_grow_more_slowly() -> None:
    """So that a pause is no more than a share of all that were before."""
    backoff = Backoff(0.2, 1.0, growth=1.25)

    pauses = [backoff.pause() for _ in range(9)]

    for pause, whole in zip(pauses, [*(0.2 * 1.25**count for count in range(8)), 1.0], strict=True):
        assert whole / 2 <= pause <= whole


def test_workers_do_not_come_back_in_step() -> None:
    """Two workers that lost the same store pause differently."""
    first, second = Backoff(1.0, 10.0), Backoff(1.0, 10.0)

    assert [first.pause() for _ in range(5)] != [second.pause() for _ in range(5)]


def test_an_idle_worker_stops_at_once() -> None:
    """Waiting ends when somebody asks, not when the time is over."""
    stop = Stop()
    threading.Timer(0.05, stop.ask).start()

    before = time.monotonic()
    stop.idle(60.0)

    assert time.monotonic() - before < 10
    assert stop.asked


def test_what_must_be_done_is_tried_for_the_grace_period() -> None:
    """Before the stop a pause always allows another attempt; after it, only while the grace period lasts."""
    stop = Stop(grace_seconds=0.1)
    assert stop.pause(0.0)
    assert stop.grace_left == float("inf")

    stop.ask()
    attempts = 0
    while stop.pause(0.02):
        attempts += 1

    assert 1 <= attempts <= 6
    assert stop.grace_left <= 0


def test_asking_twice_does_not_prolong_the_grace() -> None:
    """The grace period runs from the first request."""
    stop = Stop(grace_seconds=5.0)
    stop.ask()
    left = stop.grace_left

    stop.ask()

    assert stop.grace_left <= left


def test_a_repetition_lasts_as_long_as_its_block() -> None:
    """The action is repeated within the block, and no more once the block has ended, however that came."""
    calls, thrice = [], threading.Event()

    def act() -> None:
        calls.append(None)
        if len(calls) == 3:
            thrice.set()

    def break_off() -> None:
        with repeating(act, 0.005, "test"):
            assert thrice.wait(20)
            raise KeyError

    with pytest.raises(KeyError):
        break_off()
    ended_with = len(calls)

    assert not any(thread.name == "test" for thread in threading.enumerate())
    assert len(calls) == ended_with
