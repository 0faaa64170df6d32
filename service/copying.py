"""Copies of an embedded store in another place, one after each change, for a machine that goes on after this one."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Self

from store import Store
from store.copies import copy_store, data_version, store_file

log = logging.getLogger(__name__)

LEAST_SECONDS = 1.0
"""Between two looks whether there is something to copy."""
SHARE = 0.05
"""Of the time, that copies may take: a large store is copied less often."""


MOST_SECONDS = 60.0
"""Between two copies of a store that changes, however large it is: workers that follow a head (`etude.following`) say
again what they said in twice that time."""


class Copying:
    """Copies a store whenever it has changed, from the beginning of a `with` block to its end, and once at its end.

    What was written since the last copy is lost with this machine's disk, and nothing else.
    """

    def __init__(self, store: Store, to: Path) -> None:
        self._store = store
        self._to = to
        self._stop = threading.Event()
        self._failing = False
        self._thread = threading.Thread(target=self._work, name="copying", daemon=True)

    def __enter__(self) -> Self:
        self._copy()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._copy()

    def _work(self) -> None:
        with closing(sqlite3.connect(store_file(self._store.url), isolation_level=None)) as connection:
            seen, pause = -1, 0.0
            while not self._stop.wait(max(LEAST_SECONDS, pause)):
                if (version := data_version(connection)) != seen:
                    began = time.monotonic()
                    if self._copy():
                        seen = version
                    pause = min(MOST_SECONDS, (time.monotonic() - began) / SHARE)

    def _copy(self) -> bool:
        """Copy; what goes wrong is said once, and tried again: serving matters more."""
        try:
            copy_store(self._store.url, self._to)
        except (OSError, sqlite3.Error) as error:
            if not self._failing:
                log.warning("the store could not be copied to %s: %s", self._to, error)
            self._failing = True
            return False
        self._failing = False
        return True
