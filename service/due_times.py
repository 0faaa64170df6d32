"""Due times: cron arithmetic in a time zone, and what its clock changes mean.

Expressions are read in local time. A local time that does not exist, since the clock is put forward over it, is due at
the moment of the change; one that exists twice is due the first time. So each local time of the expression is due
once, and in order: where two of them fall on one moment it is one due time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from croniter import croniter
from croniter.croniter import CroniterError

from search_spaces.problems import InvalidSpec
from search_spaces.recurrence import RecurrenceSpec

NICKNAMES = ("@hourly", "@daily", "@weekly", "@monthly")
FIELDS = 5
DRAWN = re.compile(r"(?<![a-z])[rh](?![a-z])", re.IGNORECASE)
"""What the library takes for a random or a hashed number, which would be another one in each process."""
COUNTED = 1000
"""Missed due times are counted up to here."""
LONGEST_GAP = timedelta(hours=26)
"""More than any zone has been put forward at once."""
SEARCHED_YEARS = 12
"""How far the next due time may lie: 29 February comes after 8 years at the latest."""


def check_due_times(spec: RecurrenceSpec) -> None:
    """Refuse an expression or a zone that mean nothing, and an expression that is never due.

    Raises:
        InvalidSpec: `field` is `cron` or `zone`.
    """
    zone_of(spec)
    named = spec.cron in NICKNAMES
    if not named and len(spec.cron.split()) != FIELDS:
        listed = ", ".join(NICKNAMES)
        raise InvalidSpec(
            f"this has to be five fields (minute, hour, day of the month, month, day of the week), or one of {listed}",
            field="cron",
        )
    if DRAWN.search(spec.cron):
        raise InvalidSpec("R and H would draw the times: write them", field="cron")
    try:
        next(_local_times(spec, datetime(2000, 1, 1)))
    except CroniterError as error:
        raise InvalidSpec(str(error), field="cron") from None


def zone_of(spec: RecurrenceSpec) -> ZoneInfo:
    """Return the recurrence's time zone.

    Raises:
        InvalidSpec: there is no such zone.
    """
    try:
        return ZoneInfo(spec.zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        detail = f"there is no IANA time zone {spec.zone!r}, such as Europe/Berlin"
        raise InvalidSpec(detail, field="zone") from None


def next_due(spec: RecurrenceSpec, after: float) -> float | None:
    """Return the first due time later than `after`, both in seconds since 1970; None beyond the recurrence's end."""
    return next(_dues(spec, after), None)


def due_between(spec: RecurrenceSpec, first: float, last: float) -> tuple[list[float], bool]:
    """Return the due times from `first` to `last`, at most the latest thousand; and whether there were more."""
    found: list[float] = []
    for due in _dues(spec, first - 1):
        if due > last:
            return found, False
        found.append(due)
        if len(found) > COUNTED:
            break
    else:
        return found, False
    latest = _latest_due(spec, last)
    return [*found[1:-1], latest], True


def _latest_due(spec: RecurrenceSpec, last: float) -> float:
    """Return the last due time up to `last`, which is known to have one."""
    local = datetime.fromtimestamp(last, zone_of(spec)).replace(tzinfo=None) + timedelta(seconds=1)
    walk = croniter(spec.cron, local, max_years_between_matches=SEARCHED_YEARS)
    while True:
        due = _moment(walk.get_prev(datetime), zone_of(spec))
        if due <= last:
            return due


def _dues(spec: RecurrenceSpec, after: float) -> Iterator[float]:
    zone = zone_of(spec)
    if spec.start is not None:
        after = max(after, spec.start.timestamp() - 1e-6)
    end = float("inf") if spec.end is None else spec.end.timestamp()
    begin = datetime.fromtimestamp(after, zone).replace(tzinfo=None, fold=0)
    for local in _local_times(spec, begin):
        due = _moment(local, zone)
        if due > end:
            return
        if due > after:
            after = due
            yield due


def _local_times(spec: RecurrenceSpec, after: datetime) -> Iterator[datetime]:
    walk = croniter(spec.cron, after, max_years_between_matches=SEARCHED_YEARS)
    while True:
        found: datetime = walk.get_next(datetime)
        yield found


def _moment(local: datetime, zone: ZoneInfo) -> float:
    """Return the moment of a local time in seconds since 1970, by the rules for clock changes.

    >>> berlin = ZoneInfo("Europe/Berlin")
    >>> datetime.fromtimestamp(_moment(datetime(2030, 3, 31, 2, 30), berlin), berlin).isoformat()
    '2030-03-31T03:00:00+02:00'
    >>> datetime.fromtimestamp(_moment(datetime(2030, 10, 27, 2, 30), berlin), berlin).isoformat()
    '2030-10-27T02:30:00+02:00'
    """
    moment = local.replace(tzinfo=zone, fold=0)
    there = datetime.fromtimestamp(moment.timestamp(), zone).replace(tzinfo=None)
    if there == local:
        return moment.timestamp()
    return _change(moment.timestamp(), zone)


def _change(inside: float, zone: ZoneInfo) -> float:
    """Return the moment at which the clock is put forward, to the second, of the change that `inside` falls into.

    By the offset before the change, a time that does not exist comes after it by as much as it lies in the gap.
    """
    early, late = inside - LONGEST_GAP.total_seconds(), inside
    offset = datetime.fromtimestamp(late, zone).utcoffset()
    while late - early > 1:
        middle = (early + late) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == offset:
            late = middle
        else:
            early = middle
    return float(late)


def deadline_after(spec: RecurrenceSpec, due_at: float) -> datetime | None:
    """Return the first moment after a due time at which the clock shows `done_by`; None without one."""
    if spec.done_by is None:
        return None
    zone = zone_of(spec)
    local = datetime.fromtimestamp(due_at, zone)
    at = time.fromisoformat(spec.done_by)
    for day in range(3):
        moment = _moment(datetime.combine(local.date() + timedelta(days=day), at), zone)
        if moment > due_at:
            return datetime.fromtimestamp(moment, UTC)
    raise AssertionError("a day has a later one")
