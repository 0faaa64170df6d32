"""What becomes of a leased trial when the program that trains it ends, however it ends.

An uncaught exception fails it with its traceback, Ctrl-C and `sys.exit` give it back. A process that is killed says
nothing: its lease expires, and the trial is proposed again.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any

from search_spaces.problems import Problem

from .keeping import Keeper, reason_of

EXIT_SECONDS = 30.0
"""How long the end of a program waits for a service that is away."""

Hook = Callable[[type[BaseException], BaseException, TracebackType | None], Any]

_kept: list[Keeper] = []


def remember(keeper: Keeper) -> None:
    """Look after a keeper's trial until it is settled.

    The first call puts itself behind `sys.excepthook` and among what is done as the program ends.
    """
    _forget_settled()
    if not isinstance(sys.excepthook, _Behind):
        sys.excepthook = _Behind(sys.excepthook)
        atexit.unregister(settle_all)
        atexit.register(settle_all)
    _kept.append(keeper)


def settle(keeper: Keeper, error: BaseException | None = None) -> None:
    """End a keeper: its open trial has failed of an exception, else it is given back."""
    if keeper.closed or keeper.process != os.getpid():  # a forked child must not end what is its parent's
        return
    if keeper.trial is not None and isinstance(error, Exception):
        keeper.trial.fail(reason_of(error))
    try:
        keeper.close(EXIT_SECONDS)
    finally:
        _forget_settled()


def settle_all(error: BaseException | None = None) -> None:
    """Settle every keeper of this process, as far as the service hears it."""
    for keeper in tuple(_kept):
        try:
            settle(keeper, error)
        except Problem as problem:
            sys.stderr.write(f"etude: a trial could not be ended: {problem}\n")


class _Behind:
    """A hook for uncaught exceptions that shows them as before and then settles."""

    def __init__(self, shown: Hook) -> None:
        self._shown = shown

    def __call__(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        self._shown(kind, error, trace)
        settle_all(error)


def _forget_settled() -> None:
    _kept[:] = [keeper for keeper in _kept if not keeper.closed]
