"""The one shape of a log line, in every part: an event, what is known of its place, and its own fields.

A line is JSON, or for people in a terminal words and pairs. What is bound to a `Log`, or for the length of a `bound`
block to everything that is written in it, stands in each line. Libraries' own records get the same shape, their text
as the event. Nothing that looks like a secret is written.
"""

from __future__ import annotations

import json
import logging
import math
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from types import TracebackType
from typing import Any, Literal

Format = Literal["auto", "json", "pretty"]
"""`auto`: pretty where standard error is a terminal, JSON elsewhere."""
Level = Literal["debug", "info", "warning"]

_bound: ContextVar[dict[str, Any]] = ContextVar("bound", default={})  # noqa: B039 - never changed, only replaced
HIDDEN = "***"
_SECRETS = re.compile(r"(?<=://)[^\s/:@]+:[^\s/@]+(?=@)|\betude_[\w-]{40,}|(?<=Bearer )[^\s\"']+")
"""Passwords in URLs, tokens of ours, and what follows Bearer."""


@contextmanager
def bound(**known: Any) -> Iterator[None]:
    """Add `known` to every line that is written in the block, in this thread or task."""
    token = _bound.set(_bound.get() | known)
    try:
        yield
    finally:
        _bound.reset(token)


def bind(name: str, **known: Any) -> Log:
    """Return a log whose events all carry `known`; `name` is the module's."""
    return Log(logging.getLogger(name), known)


class Log:
    """Writes events, such as `claimed` with worker, study and trial."""

    def __init__(self, logger: logging.Logger, known: dict[str, Any]) -> None:
        self._logger = logger
        self._known = known

    def bind(self, **known: Any) -> Log:
        """Return the same log, knowing more."""
        return Log(self._logger, self._known | known)

    def debug(self, event: str, **fields: Any) -> None:
        """Write what is of interest to those who look for it."""
        self._write(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: Any) -> None:
        """Write what happened as it should."""
        self._write(logging.INFO, event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        """Write what somebody may want to look into."""
        self._write(logging.WARNING, event, fields)

    def exception(self, event: str, **fields: Any) -> None:
        """Write a defect, with the traceback of the exception being handled."""
        self._write(logging.ERROR, event, fields, exc_info=True)

    def _write(self, level: int, event: str, fields: dict[str, Any], *, exc_info: bool = False) -> None:
        if self._logger.isEnabledFor(level):
            pairs = {key: value for key, value in (self._known | fields).items() if value is not None}
            # The message is for whoever formats records in another way.
            self._logger.log(level, "%s", _words(event, pairs), exc_info=exc_info, extra={"told": (event, pairs)})


class LineFormatter(logging.Formatter):
    """Writes a record as one line: JSON, or words and pairs (and then a traceback's lines below)."""

    def __init__(self, *, pretty: bool) -> None:
        super().__init__()
        self._pretty = pretty

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without what looks like a secret."""
        event, fields = getattr(record, "told", None) or (record.getMessage(), {})
        fields = _bound.get() | fields
        trace = self.formatException(record.exc_info) if record.exc_info else None
        line = self._words(record, event, fields, trace) if self._pretty else _json(record, event, fields, trace)
        return _SECRETS.sub(HIDDEN, line)

    def _words(self, record: logging.LogRecord, event: str, fields: dict[str, Any], trace: str | None) -> str:
        said = event if getattr(record, "told", None) else _escaped(f"{record.name}: {event}")
        line = f"{_time_of(record)[11:]} {record.levelname.lower():<7} {_words(said, fields)}"
        return line if trace is None else f"{line}\n{trace}"


def write_to_stderr(root: str, form: Format = "auto", level: Level = "info") -> None:
    """Send events to standard error; called once, by the process's main.

    Of libraries only warnings are shown, of the package `root` everything from `level`.
    """
    pretty = sys.stderr.isatty() if form == "auto" else form == "pretty"
    stream = logging.StreamHandler()
    stream.setFormatter(LineFormatter(pretty=pretty))
    logging.basicConfig(level=logging.WARNING, handlers=[stream])
    sys.excepthook = partial(_say_crash, root)
    for name in (root, "store"):
        logging.getLogger(name).setLevel(level.upper())


def _say_crash(root: str, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Write what ends the process as one event, too."""
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        logging.getLogger(root).critical("crashed", exc_info=(kind, error, trace))


def _time_of(record: logging.LogRecord) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"


def _json(record: logging.LogRecord, event: str, fields: dict[str, Any], trace: str | None) -> str:
    line = {"time": _time_of(record), "level": record.levelname.lower(), "event": event}
    plain = {key: _plain(value) for key, value in fields.items()}
    last = {"logger": record.name} | ({} if trace is None else {"traceback": trace})
    return json.dumps(line | plain | last | line, default=str)  # no field takes the place of these


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _words(event: str, fields: dict[str, Any]) -> str:
    return " ".join([event, *(f"{key}={_shown(value)}" for key, value in fields.items())])


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if not text or any(mark in text for mark in ' "=\n\r\t') else text


def _escaped(text: str) -> str:
    # One event is one line, whatever a library puts into it.
    return text.replace("\r", "\\r").replace("\n", "\\n")
