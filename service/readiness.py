"""Whether this process is to be asked: the store answers, its tables are known, and a coordinator can be counted on."""

from __future__ import annotations

from search_spaces.problems import NotReady
from store import Store
from store.coordinators import trouble
from store.upgrade import head_version, version_in

from .shared import Shared
from .supervision import Supervised

FRESH_SECONDS = 1.0
"""However many probe, the store is asked once in so long."""
START_SECONDS = 30.0
"""A coordinator that this process has started so lately may not have been heard of yet."""


class Readiness:
    """What `/readyz` answers; `coordinator` is the one that this process keeps running, if it does."""

    def __init__(self, store: Store, coordinator: Supervised | None) -> None:
        self._store = store
        self._coordinator = coordinator
        self._seen = Shared(self._look, FRESH_SECONDS)
        self._stopping = False

    def stop(self) -> None:
        """Say from now on that the process is not ready: it was asked to stop."""
        self._stopping = True

    def check(self) -> None:
        """Return if the process is ready.

        Raises:
            StoreUnavailable: the store does not answer, or not in time.
            NotReady: something else is missing; the text says what.
        """
        if self._stopping:
            raise NotReady("this process was asked to stop")
        ours = None if self._coordinator is None else self._coordinator.trouble()
        if ours is not None:
            raise NotReady(ours)
        version, theirs = self._seen.get()
        if version != head_version():
            raise NotReady(f"the store's tables have version {version}, this process is written for {head_version()}")
        if theirs is not None and not self._is_starting():
            raise NotReady(theirs)

    def _is_starting(self) -> bool:
        return self._coordinator is not None and self._coordinator.age_seconds < START_SECONDS

    def _look(self) -> tuple[str | None, str | None]:
        """Read the version of the tables, and why no coordinator can be counted on."""
        with self._store.read() as connection:
            return version_in(connection), trouble(connection, self._store.now(connection))
