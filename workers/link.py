"""A worker's way to the store: the verbs in its name, one call at a time, whichever thread calls."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from threading import Lock
from typing import TypeVar

from search_spaces.log import bind
from search_spaces.problems import StoreUnavailable
from search_spaces.work import (
    Announcement,
    ClaimedTrial,
    ClaimRequest,
    FinishItem,
    FinishRequest,
    Held,
    ItemAnswer,
    ReleaseItem,
    ReleaseRequest,
    RenewRequest,
    ReportItem,
    ReportRequest,
    Verbs,
)

Answer = TypeVar("Answer")
Observe = Callable[[str, float], None]


def nobody_looks(_verb: str, _seconds: float) -> None:
    """What is not watched is not counted."""


class Link:
    """`Verbs` for one worker; every call raises `StoreUnavailable` while the store is away.

    A verb over many trials is one round trip, and its answers come in the order of the items.
    """

    def __init__(self, verbs: Verbs, worker: str, observe: Observe) -> None:
        """Speak for `worker`; `observe` is told of each verb and its seconds."""
        self.worker = worker
        self._observe = observe
        self._verbs = verbs
        self._lock = Lock()
        self.away = False
        """Whether the latest call found the store away."""
        self._log = bind(__name__, worker=worker)

    def announce(self, announcement: Announcement) -> None:
        """Say what the worker offers, and that it is alive."""
        self._call("announce", lambda: self._verbs.announce(self.worker, announcement))

    def claim(self, request: ClaimRequest) -> list[ClaimedTrial]:
        """Lease trials; the same `claim_id` gets the same answer."""
        return self._call("claim", lambda: self._verbs.claim(request)).items

    def renew(self, items: Sequence[Held]) -> list[ItemAnswer]:
        """Prolong leases."""
        request = RenewRequest(worker=self.worker, items=list(items))
        return self._call("renew", lambda: self._verbs.renew(request)).items

    def report(self, items: Sequence[ReportItem]) -> list[ItemAnswer]:
        """Report on trials."""
        request = ReportRequest(worker=self.worker, items=list(items))
        return self._call("report", lambda: self._verbs.report(request)).items

    def finish(self, items: Sequence[FinishItem]) -> list[ItemAnswer]:
        """End trials."""
        request = FinishRequest(worker=self.worker, items=list(items))
        return self._call("finish", lambda: self._verbs.finish(request)).items

    def release(self, items: Sequence[ReleaseItem]) -> list[ItemAnswer]:
        """Give trials back."""
        request = ReleaseRequest(worker=self.worker, items=list(items))
        return self._call("release", lambda: self._verbs.release(request)).items

    def close(self) -> None:
        """Let go of connections."""
        with self._lock:
            self._verbs.close()

    def _call(self, verb: str, speak: Callable[[], Answer]) -> Answer:
        with self._lock:
            began = time.perf_counter()
            try:
                answer = speak()
            except StoreUnavailable as problem:
                self._turn(away=True, detail=problem.detail)
                raise
            finally:
                self._observe(verb, time.perf_counter() - began)
            self._turn(away=False)
            return answer

    def _turn(self, *, away: bool, detail: str | None = None) -> None:
        """Note whether the store is away; only a change is an event."""
        if away == self.away:
            return
        self.away = away
        if away:
            self._log.warning("store_unavailable", detail=detail)
        else:
            self._log.info("store_is_back")
