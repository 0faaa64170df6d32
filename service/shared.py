"""What many ask for and one reads: probes and scrapes of the store cost it little, and wait for it only so long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

from search_spaces.problems import StoreUnavailable

Read = TypeVar("Read")
PATIENCE_SECONDS = 3.0
"""Nobody waits for longer; a reading that hangs goes on alone, and no second one is begun beside it."""
REST_SHARE = 50
"""What was read is kept for so many times as long as reading it took, too: 2 % of the time at most goes into it."""


class Shared(Generic[Read]):
    """A reading that is shared by all who ask within `fresh_seconds` of it; one that fails is not kept."""

    def __init__(
        self, read: Callable[[], Read], fresh_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._read = read
        self._fresh_seconds = fresh_seconds
        self._clock = clock
        self._latest: Future[Read] | None = None
        self._fresh_until = 0.0
        self._lock = threading.Lock()

    def get(self, patience_seconds: float = PATIENCE_SECONDS) -> Read:
        """Return what was read last, reading it anew where that is too old; what reading raised is raised.

        Raises:
            StoreUnavailable: there is no answer in time.
        """
        with self._lock:
            latest = self._latest
            if latest is None or (latest.done() and not self._is_fresh(latest)):
                latest = self._latest = Future()
                threading.Thread(target=self._fill, args=(latest,), name="reading", daemon=True).start()
        try:
            return latest.result(patience_seconds)
        except TimeoutError as error:
            raise StoreUnavailable(f"the store has not answered within {patience_seconds:g} s") from error

    def _is_fresh(self, latest: Future[Read]) -> bool:
        return latest.exception() is None and self._clock() < self._fresh_until

    def _fill(self, future: Future[Read]) -> None:
        began = self._clock()
        try:
            read = self._read()
        except BaseException as error:  # noqa: BLE001 - it is raised where somebody waits
            future.set_exception(error)
            return
        now = self._clock()
        self._fresh_until = now + max(self._fresh_seconds, REST_SHARE * (now - began))
        future.set_result(read)
