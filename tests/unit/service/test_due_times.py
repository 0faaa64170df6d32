"""Due times: cron in a time zone, over clock changes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from service.due_times import deadline_after, due_between, next_due
from tests.nights import BERLIN, moment_of, spec_of


def dues(after: str, count: int, zone: str = BERLIN, **fields: Any) -> list[str]:
    """The next due times as local times with their offset."""
    spec, at, found = spec_of(zone=zone, **fields), moment_of(after), list[str]()
    for _ in range(count):
        due = next_due(spec, at)
        assert due is not None
        at = due
        found.append(datetime.fromtimestamp(at, ZoneInfo(zone)).isoformat(timespec="minutes"))
    return found


def test_a_time_that_does_not_exist_is_due_at_the_change() -> None:
    """02:30 on the night in which 02:00 becomes 03:00 is 03:00; the nights around it are at 02:30."""
    assert dues("2030-03-29T12:00:00+01:00", 3) == [
        "2030-03-30T02:30+01:00", "2030-03-31T03:00+02:00", "2030-04-01T02:30+02:00",
    ]  # fmt: skip


def test_a_time_that_exists_twice_is_due_the_first_time() -> None:
    """02:30 on the night in which 03:00 becomes 02:00: once, in summer time."""
    assert dues("2030-10-26T12:00:00+02:00", 2) == ["2030-10-27T02:30+02:00", "2030-10-28T02:30+01:00"]


def test_times_that_fall_on_one_moment_are_one_due_time() -> None:
    """Every quarter of an hour: those of the missing hour are the hour's end, which is due once."""
    assert dues("2030-03-31T01:40:00+01:00", 3, cron="*/15 * * * *") == [
        "2030-03-31T01:45+01:00", "2030-03-31T03:00+02:00", "2030-03-31T03:15+02:00",
    ]  # fmt: skip


def test_an_hour_that_comes_again_is_passed_over() -> None:
    """From within the second pass the next due time is the hour after it."""
    assert dues("2030-10-27T02:10:00+01:00", 1, cron="30 * * * *") == ["2030-10-27T03:30+01:00"]


@pytest.mark.parametrize(
    ("zone", "after", "due"),
    [
        ("Australia/Lord_Howe", "2030-10-05T12:00:00+10:30", "2030-10-06T02:30+11:00"),
        ("Pacific/Apia", "2011-12-29T12:00:00-10:00", "2011-12-31T00:00+14:00"),
        ("Asia/Kathmandu", "2030-01-01T00:00:00+05:45", "2030-01-01T02:15+05:45"),
    ],
)
def test_odd_zones(zone: str, after: str, due: str) -> None:
    """Half an hour forward, a whole day left out, an offset of three quarters."""
    assert dues(after, 1, zone=zone, cron="15 2 * * *") == [due]


def test_the_last_day_of_february_is_found() -> None:
    """29 February comes eight years after 2096."""
    assert dues("2096-03-01T00:00:00+00:00", 1, zone="UTC", cron="0 0 29 2 *") == ["2104-02-29T00:00+00:00"]


def test_many_missed_times_are_counted_up_to_a_thousand() -> None:
    """A year of minutes takes no time, and ends with the latest of them."""
    last = moment_of("2031-01-01T00:00:30+00:00")

    found, more = due_between(spec_of(cron="* * * * *"), moment_of("2030-01-01T00:00:00+00:00"), last)

    assert (len(found), more, found[-1]) == (1000, True, last - 30)


@pytest.mark.parametrize(
    ("due", "deadline"),
    [
        ("2030-03-30T02:30:00+01:00", "2030-03-30T05:00:00+00:00"),
        ("2030-03-31T03:00:00+02:00", "2030-03-31T04:00:00+00:00"),
        ("2030-03-30T22:00:00+01:00", "2030-03-31T04:00:00+00:00"),
    ],
)
def test_done_by_is_the_next_such_time_in_the_zone(due: str, deadline: str) -> None:
    """06:00 in Berlin, before and after the clock change, and on the day after a late due time."""
    found = deadline_after(spec_of(done_by="06:00"), moment_of(due))

    assert found == datetime.fromisoformat(deadline).astimezone(UTC)
