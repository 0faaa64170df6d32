"""The five verbs over SQL: what a worker with database rights holds, and what the service's work routes call."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from search_spaces.work import (
    Announcement,
    ClaimAnswer,
    ClaimRequest,
    FinishRequest,
    ReleaseRequest,
    RenewRequest,
    ReportRequest,
    VerbAnswer,
)

from . import claims, finishing, reports, workers
from .backlog import backlog
from .engine import Store

Observe = Callable[[str, float], None]


def _nobody_looks(_verb: str, _seconds: float) -> None:
    """What is not watched is not counted."""


class SqlVerbs:
    """`search_spaces.work.Verbs` on an opened store.

    With `rest_seconds` its connections are closed when no verb has come for so long: a hundred workers that report
    once a minute then share the few connections that PostgreSQL has. `observe` is told of each verb and its seconds.
    """

    def __init__(self, store: Store, *, rest_seconds: float | None = None, observe: Observe = _nobody_looks) -> None:
        self.store = store
        self._observe = observe
        self._rest_seconds = rest_seconds
        self._timer: threading.Timer | None = None
        self._lock = threading.Lock()
        self._claiming = threading.Lock()

    def announce(self, worker: str, announcement: Announcement) -> None:
        """Store the worker's offer and its sign of life."""
        with self._at_work("announce"):
            workers.announce(self.store, worker, announcement)

    def claim(self, request: ClaimRequest) -> ClaimAnswer:
        """Lease proposed trials to the worker.

        One claim at a time: claims wait for one another at the study's row, and each that waits there would keep a
        connection of the pool from the reports.
        """
        with self._at_work("claim"), self._claiming:
            return claims.claim(self.store, request)

    def renew(self, request: RenewRequest) -> VerbAnswer:
        """Prolong leases."""
        with self._at_work("renew"):
            return claims.renew(self.store, request)

    def report(self, request: ReportRequest) -> VerbAnswer:
        """Store reports, settle rungs, decide on pruning, prolong leases."""
        with self._at_work("report"):
            return reports.report(self.store, request)

    def finish(self, request: FinishRequest) -> VerbAnswer:
        """End trials."""
        with self._at_work("finish"):
            return finishing.finish(self.store, request)

    def release(self, request: ReleaseRequest) -> VerbAnswer:
        """Give trials back to be proposed again."""
        with self._at_work("release"):
            return claims.release(self.store, request)

    def backlog(self, tasks: Collection[str]) -> int:
        """Count the trials that studies of these tasks still want."""
        with self._at_work("backlog"):
            return backlog(self.store, tasks)

    def close(self) -> None:
        """Close the store's connections."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
        self.store.close()

    @contextmanager
    def _at_work(self, verb: str) -> Iterator[None]:
        """Put off the rest while a verb is under way, and begin to wait for it when the verb is done."""
        began = time.perf_counter()
        self._put_off_rest()
        try:
            yield
        finally:
            self._begin_to_rest()
            self._observe(verb, time.perf_counter() - began)

    def _put_off_rest(self) -> None:
        if self._rest_seconds is None:
            return
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def _begin_to_rest(self) -> None:
        if self._rest_seconds is None:
            return
        with self._lock:
            self._timer = threading.Timer(self._rest_seconds, self.store.close)
            self._timer.daemon = True
            self._timer.start()
