"""The five verbs spoken to whoever serves a shared directory just now: the head may move while a trial trains.

A head that is lost with its disk takes what it was told since its last copy with it. So what a worker has said of late
is kept, and said again to the next head: reports and results are the same however often they are told.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection
from typing import TypeVar

from search_spaces.problems import StoreUnavailable, Unauthorized
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

from .settings import WrongSetting
from .shared import SharedDirectory
from .tokens import read_token
from .work import HttpVerbs

Answer = TypeVar("Answer")
Told = ReportRequest | FinishRequest | ReleaseRequest
KEPT_SECONDS = 120.0
"""How long what was said is kept; a head copies its store at least twice as often."""


class FollowingVerbs:
    """`search_spaces.work.Verbs` on the head of a shared directory; between two heads the store is away."""

    def __init__(self, shared: SharedDirectory, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._shared = shared
        self._clock = clock
        self._place: tuple[int, str, str] | None = None
        self._verbs: HttpVerbs | None = None
        self._told_to: int | None = None
        """Generation of the head that has heard all that was said."""
        self._told: deque[tuple[float, Told]] = deque()

    def announce(self, worker: str, announcement: Announcement) -> None:
        """Store the worker's offer and its sign of life."""
        self._ask(lambda verbs: verbs.announce(worker, announcement))

    def claim(self, request: ClaimRequest) -> ClaimAnswer:
        """Lease proposed trials to the worker."""
        return self._ask(lambda verbs: verbs.claim(request))

    def renew(self, request: RenewRequest) -> VerbAnswer:
        """Prolong leases."""
        return self._ask(lambda verbs: verbs.renew(request))

    def report(self, request: ReportRequest) -> VerbAnswer:
        """Store reports, settle rungs, decide on pruning, prolong leases."""
        return self._tell(request)

    def finish(self, request: FinishRequest) -> VerbAnswer:
        """End trials."""
        return self._tell(request)

    def release(self, request: ReleaseRequest) -> VerbAnswer:
        """Give trials back to be proposed again."""
        return self._tell(request)

    def backlog(self, tasks: Collection[str]) -> int:
        """Count the trials that studies of these tasks still want."""
        return self._ask(lambda verbs: verbs.backlog(tasks))

    def close(self) -> None:
        """Close the connections."""
        if self._verbs is not None:
            self._verbs.close()

    def _tell(self, request: Told) -> VerbAnswer:
        answer = self._ask(lambda verbs: _spoken(verbs, request))
        now = self._clock()
        self._told.append((now, request))
        while self._told[0][0] < now - KEPT_SECONDS:
            self._told.popleft()
        return answer

    def _ask(self, verb: Callable[[HttpVerbs], Answer]) -> Answer:
        try:
            return verb(self._current())
        except Unauthorized as refused:  # a head that has begun, and whose token is not written yet
            raise StoreUnavailable(f"the head refuses the token: {refused.detail}") from refused

    def _current(self) -> HttpVerbs:
        """Return the verbs at the head's address, which is looked up at each call: a small file beside a round trip."""
        place = (*self._shared.serving(), self._token())
        if self._verbs is not None and place == self._place:
            return self._verbs
        self.close()
        self._verbs, self._place = HttpVerbs(place[1], place[2]), None
        if self._told_to not in (None, place[0]):
            self._tell_again(self._verbs)
        # Not before all was told again: else it is tried anew.
        self._place, self._told_to = place, place[0]
        return self._verbs

    def _tell_again(self, verbs: HttpVerbs) -> None:
        """Say to a new head what was said of late; it counts no time for it, which the one before may have counted."""
        for _, request in self._told:
            items = [item.model_copy(update={"worker_seconds": 0.0}) for item in request.items]
            _spoken(verbs, request.model_copy(update={"items": items}))

    def _token(self) -> str:
        try:
            return read_token(self._shared.work_token)
        except WrongSetting as error:
            raise StoreUnavailable(str(error)) from error


def _spoken(verbs: HttpVerbs, request: Told) -> VerbAnswer:
    if isinstance(request, ReportRequest):
        return verbs.report(request)
    return verbs.finish(request) if isinstance(request, FinishRequest) else verbs.release(request)
