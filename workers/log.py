"""The worker's log: one event a transition, as key=value, with what is known of its place bound to it."""

from __future__ import annotations

import json
import logging
import time
from typing import Any

ROOT = "workers"
"""The logger above all of this package's."""


def bind(name: str, **known: Any) -> Log:
    """Return a log whose events all carry `known`."""
    return Log(logging.getLogger(name), known)


class Log:
    """Writes events such as `event=claimed worker=w1 study=s number=3`."""

    def __init__(self, logger: logging.Logger, known: dict[str, Any]) -> None:
        self._logger = logger
        self._known = known

    def bind(self, **known: Any) -> Log:
        """Return the same log, knowing more."""
        return Log(self._logger, self._known | known)

    def info(self, event: str, **fields: Any) -> None:
        """Write what happened as it should."""
        self._logger.info(self._line(event, fields))

    def warning(self, event: str, **fields: Any) -> None:
        """Write what somebody may want to look into."""
        self._logger.warning(self._line(event, fields))

    def _line(self, event: str, fields: dict[str, Any]) -> str:
        pairs = {"event": event} | self._known | fields
        return " ".join(f"{key}={_shown(value)}" for key, value in pairs.items() if value is not None)


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    text = str(value)
    # One event is one line: text with a space, a quote or a line break is quoted.
    return json.dumps(text, ensure_ascii=False) if any(mark in text for mark in ' "=\n\r\t') or not text else text


def write_to_stderr() -> None:
    """Send events to standard error with their time in UTC; called once, by the process's main.

    Of libraries only warnings are shown: a line for every request would drown the events.
    """
    formatter = logging.Formatter("time=%(asctime)s.%(msecs)03dZ level=%(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    stream = logging.StreamHandler()
    stream.setFormatter(formatter)
    logging.basicConfig(level=logging.WARNING, handlers=[stream])
    logging.getLogger(ROOT).setLevel(logging.INFO)
