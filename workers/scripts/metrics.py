"""A script's metric as it appears: in what it prints, or in a file that it writes."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from glob import escape, iglob
from pathlib import Path
from typing import Any, Protocol

from search_spaces.script_spec import (
    STEP,
    VALUE,
    CsvMetric,
    EventsMetric,
    JsonLinesMetric,
    Metric,
    StdoutMetric,
)

TRAILING = ",;"
r"""What a pattern such as `val_loss=(\S+)` takes along from `val_loss=0.5, accuracy=0.9`."""


@dataclass(frozen=True)
class Reading:
    """One value of the metric."""

    value: float
    step: int | None = None
    """Updates made, where the script says so."""
    text: str = ""
    """What matched on stdout; a script that is counted has noted its updates under this text."""
    file: str = ""
    """The file that it stands in, and"""
    end: int = 0
    """the bytes of it up to the end of this line."""


class Readings(Protocol):
    """Where a trial's metric comes from."""

    unreadable: int
    """Places where a metric should be and no number was."""

    def hear(self, line: str) -> None:
        """Take in a line that was printed; called by another thread."""

    def take(self) -> list[Reading]:
        """Return what is new, in order."""


def readings(metric: Metric, directory: Path, trial_directory: Path, since: float) -> Readings:
    """Return what reads a metric of a script in `directory`, of files no older than `since` (seconds of the epoch)."""
    if isinstance(metric, StdoutMetric):
        return PrintedReadings(metric.pattern)
    pattern = metric_path(metric.path, directory, trial_directory)
    if isinstance(metric, EventsMetric):
        from .event_files import EventReadings

        return EventReadings(pattern, metric.field, since)
    return FileReadings(pattern, _parser(metric), since)


def metric_path(path: str, directory: Path, trial_directory: Path) -> str:
    """Return a metric file's place as an absolute glob pattern."""
    return str(directory / path.format(trial_directory=escape(str(trial_directory))))


class PrintedReadings:
    """Matches of a regular expression in what a script prints."""

    def __init__(self, pattern: str) -> None:
        self._pattern = re.compile(pattern)
        self._value: str | int = VALUE if VALUE in self._pattern.groupindex else 1
        self._has_step = STEP in self._pattern.groupindex
        self._found: deque[Reading] = deque()
        self.unreadable = 0

    def hear(self, line: str) -> None:
        """Look for the metric in a line."""
        for match in self._pattern.finditer(line):
            reading = self._read(match)
            if reading is None:
                self.unreadable += 1
            else:
                self._found.append(reading)

    def take(self) -> list[Reading]:
        """Return what is new, in order."""
        return [self._found.popleft() for _ in range(len(self._found))]

    def _read(self, match: re.Match[str]) -> Reading | None:
        value = number(match[self._value])
        step = number(match[STEP]) if self._has_step else None
        if value is None or (self._has_step and not _is_whole(step)):
            return None
        return Reading(value, step=None if step is None else int(step), text=match[0])


Row = tuple[Any, Any, int]
"""A value, a step and the bytes up to the end of its line."""
Parse = Callable[[bytes], Iterator[Row]]


class FileReadings:
    """Rows of a file that grows, or is written anew with more rows each time."""

    def __init__(self, pattern: str, parse: Parse, since: float) -> None:
        self._pattern = pattern
        self._parse = parse
        self._since = since
        self._seen = (0, 0)
        self._taken = 0
        self.unreadable = 0

    def hear(self, line: str) -> None:
        """What is printed holds no metric."""

    def take(self) -> list[Reading]:
        """Return the rows that are new since the last call; only whole lines count."""
        path = newest(self._pattern, self._since)
        if path is None:
            return []
        stat = path.stat()
        if (stat.st_size, stat.st_mtime_ns) == self._seen:
            return []
        self._seen = (stat.st_size, stat.st_mtime_ns)
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        rows = list(self._parse(whole))
        new, self._taken = rows[self._taken :], max(self._taken, len(rows))
        return [reading for row in new if (reading := self._read(row, str(path))) is not None]

    def _read(self, row: Row, file: str) -> Reading | None:
        value, step = number(row[0]), number(row[1])
        if value is None or (row[1] is not None and not _is_whole(step)):
            self.unreadable += 1
            return None
        return Reading(value, step=None if step is None else int(step), file=file, end=row[2])


def newest(pattern: str, since: float) -> Path | None:
    """Return the file of a glob pattern that was written last, unless that was before the trial began."""
    # An absolute pattern, which `Path.glob` does not take.
    paths = [Path(name) for name in iglob(pattern, recursive=True)]  # noqa: PTH207
    found = [(path.stat().st_mtime, path) for path in paths if path.is_file()]
    newer = [one for one in found if one[0] >= since]
    return max(newer)[1] if newer else None


def _parser(metric: JsonLinesMetric | CsvMetric) -> Parse:
    if isinstance(metric, JsonLinesMetric):
        return lambda content: _json_rows(content, metric.field, metric.step_field)
    return lambda content: _csv_rows(content, metric.field, metric.step_field)


def _json_rows(content: bytes, field: str, step_field: str | None) -> Iterator[Row]:
    end = 0
    for line in content.splitlines(keepends=True):
        end += len(line)
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and row.get(field) is not None:
            yield row[field], row.get(step_field) if step_field else None, end


def _csv_rows(content: bytes, field: str, step_field: str | None) -> Iterator[Row]:
    lines = content.decode("utf-8", "replace").splitlines(keepends=True)
    reader = csv.DictReader(io.StringIO("".join(lines), newline=""))
    ends = [0]
    for line in lines:
        ends.append(ends[-1] + len(line.encode()))
    for row in reader:
        if _cell(row, field):
            yield _cell(row, field), _cell(row, step_field) if step_field else None, ends[reader.line_num]


def _cell(row: Mapping[str, Any], name: str) -> str | None:
    value = row.get(name)
    return value.strip() or None if isinstance(value, str) else None


def number(text: Any) -> float | None:
    """Return the number that a script wrote; None where it is none.

    >>> number("0.5,"), number("nan"), number(3), number("n/a")
    (0.5, nan, 3.0, None)
    """
    try:
        return float(text.rstrip(TRAILING) if isinstance(text, str) else text)
    except (TypeError, ValueError):
        return None


def _is_whole(value: float | None) -> bool:
    return value is not None and value >= 0 and value == int(value)
