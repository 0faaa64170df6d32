"""One head at a time in a shared directory, and none that serves without being it."""

from __future__ import annotations

from pathlib import Path

import pytest

from etude.election import Office, Watch, take_office
from etude.shared import SharedDirectory

SILENT = 30.0


class Clock:
    """A machine's own clock; two machines' have nothing to do with one another."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def shared(tmp_path: Path) -> SharedDirectory:
    made = SharedDirectory(tmp_path / "shared")
    made.make()
    return made


def taken(shared: SharedDirectory, after: int, clock: Clock) -> Office | None:
    """Try to become the head that follows a generation."""
    return take_office(shared, after, "etude.db", takeover_seconds=SILENT, clock=clock)


def test_one_of_two_candidates_becomes_the_head(shared: SharedDirectory) -> None:
    """Both see that there is none, and both try: the directory of a generation is made once."""
    first, second = Clock(1000.0), Clock(5.0)
    vacancies = [Watch(shared, SILENT, clock).vacancy() for clock in (first, second)]
    offices = [taken(shared, 0, clock) for clock in (first, second)]

    assert vacancies == [0, 0]
    assert [office is not None for office in offices] == [True, False]


def test_a_head_that_gives_signs_of_life_is_left_alone(shared: SharedDirectory) -> None:
    """However long it serves, and whatever the two clocks say."""
    mine, theirs = Clock(1000.0), Clock(5.0)
    office = taken(shared, 0, mine)
    assert office is not None
    watch = Watch(shared, SILENT, theirs)
    seen = []
    for _ in range(10):
        mine.now += 10
        theirs.now += 10
        office.beat()
        seen.append((watch.vacancy(), office.lost()))

    assert seen == [(None, None)] * 10


def test_a_silent_head_is_followed(shared: SharedDirectory) -> None:
    """Not a moment before the candidate itself has seen it silent for so long."""
    mine, theirs = Clock(0.0), Clock(500.0)
    assert taken(shared, 0, mine) is not None
    watch = Watch(shared, SILENT, theirs)
    seen = []
    for _ in range(4):
        seen.append(watch.vacancy())
        theirs.now += 10

    assert seen == [None, None, None, 1]
    assert taken(shared, 1, theirs) is not None
    assert watch.vacancy() is None


def test_a_head_that_leaves_in_order_is_followed_at_once(shared: SharedDirectory) -> None:
    """Nobody waits for a silence where the last copy is said to be written."""
    clock = Clock(0.0)
    office = taken(shared, 0, clock)
    assert office is not None
    watch = Watch(shared, SILENT, clock)
    before = watch.vacancy()
    office.beat(ended="stopped")

    assert (before, watch.vacancy()) == (None, 1)


def test_a_head_that_cannot_write_stops_before_it_is_followed(shared: SharedDirectory) -> None:
    """A machine that was frozen, or whose network is gone, knows by its own clock that it may serve no more."""
    mine, theirs = Clock(0.0), Clock(0.0)
    office = taken(shared, 0, mine)
    assert office is not None
    watch = Watch(shared, SILENT, theirs)
    watch.vacancy()
    mine.now = theirs.now = SILENT * 0.7

    assert office.lost() == "it could not write into the shared directory for too long"
    assert watch.vacancy() is None


def test_a_head_that_was_followed_stops(shared: SharedDirectory) -> None:
    """It sees the later generation whatever its clock says."""
    clock = Clock(0.0)
    office = taken(shared, 0, clock)
    later = taken(shared, 1, clock)
    assert office is not None
    assert later is not None

    assert office.lost() == "another machine has taken over"
    assert later.lost() is None


def test_a_candidate_that_died_before_its_first_word_is_followed(shared: SharedDirectory) -> None:
    """A generation without a record is silent like any other."""
    clock = Clock(0.0)
    shared.record(1).parent.mkdir()
    watch = Watch(shared, SILENT, clock)
    before = watch.vacancy()
    clock.now = SILENT

    assert (before, watch.vacancy()) == (None, 1)
