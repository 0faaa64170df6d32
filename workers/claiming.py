"""What a worker asks for: a trial that the store's fair order picks, then companions of it for the free places."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence

from search_spaces.problems import StoreUnavailable
from search_spaces.study import confirmation_name
from search_spaces.work import ClaimedTrial, ClaimRequest, TaskVersion

from .bench import Bench, Station
from .engine import Attempt
from .failures import reason_of
from .hand import Hand
from .link import Link
from .timing import Backoff, Timing

CONFIRMATION = confirmation_name("")
IDLE_GROWTH = 1.25
"""By which a pause without trials is longer than the last: new work waits a quarter as long as the worker did."""


class Claims:
    """Fills the free places of a bench.

    A lead claim of one trial over all tasks lets the store decide which study is served: the one of highest priority
    with fewest trials in training. Companions of the same study then take half of the engine's free places, and the
    next lead claim follows: so an empty engine is full after few claims, and studies of one task and priority share
    it from the start, also where the trials of an engine begin and end together.
    """

    def __init__(self, link: Link, hand: Hand, bench: Bench, offered: Sequence[TaskVersion], timing: Timing) -> None:
        self._link = link
        self._hand = hand
        self._bench = bench
        self._offered = offered
        self._timing = timing
        self._unanswered: ClaimRequest | None = None
        self._ask_at = self._retry_at = 0.0
        self._retry = Backoff(timing.first_retry, timing.longest_retry)
        self._idle = Backoff(timing.first_idle, timing.longest_idle, IDLE_GROWTH)

    @property
    def due_at(self) -> float:
        """When to ask again, on the monotonic clock; infinite while there is no place for another trial."""
        if self._unanswered is None and self._bench.wanted(self._offered) is None:
            return float("inf")
        return max(self._ask_at, self._retry_at)

    def hurry(self) -> None:
        """Ask without a pause: a place is free again."""
        self._ask_at = 0.0

    def pause(self) -> float:
        """Return how long a worker without trials waits until it asks again, in seconds."""
        return self._retry_at - time.monotonic() if self._retry_at else self._idle.pause()

    def fill(self) -> bool:
        """Claim until no place is free or nothing is there; tell whether anything was claimed.

        A claim whose answer may be lost is repeated under the same id, which gets the same answer: no leased trial is
        forgotten.
        """
        if self._hand.in_training and time.monotonic() < self.due_at:
            return False
        before = self._hand.claimed
        try:
            self._fill()
        except StoreUnavailable:
            self._retry_at = time.monotonic() + self._retry.pause()
        else:
            self._retry_at = 0.0
            self._retry.reset()
            self._ask_at = time.monotonic() + self._timing.ask
        if self._hand.claimed > before:
            self._idle.reset()
        return self._hand.claimed > before

    def _fill(self) -> None:
        if self._unanswered is not None:
            self._enter(self._send(self._unanswered))
        while (tasks := self._bench.wanted(self._offered)) is not None:
            leads = self._claim(tasks)
            if not leads:
                return
            for station in self._enter(leads):
                self._fill_up(station, leads[0].study.removesuffix(CONFIRMATION))

    def _fill_up(self, station: Station, study: str) -> None:
        if count := station.places // 2:
            self._enter(self._claim([station.version], count, study))

    def _claim(self, tasks: Sequence[TaskVersion], count: int = 1, study: str | None = None) -> list[ClaimedTrial]:
        return self._send(
            ClaimRequest(
                worker=self._link.worker, claim_id=uuid.uuid4().hex, tasks=list(tasks), count=count, study=study
            )
        )

    def _send(self, request: ClaimRequest) -> list[ClaimedTrial]:
        self._unanswered = request
        trials = self._link.claim(request)
        self._unanswered = None
        return trials

    def _enter(self, trials: Sequence[ClaimedTrial]) -> list[Station]:
        """Take trials in hand and bring them to their stations; one that cannot begin has failed."""
        # All are held before the first begins: opening a station takes time, and leases have to be renewed meanwhile.
        attempts = [Attempt(claimed) for claimed in trials]
        for attempt in attempts:
            self._hand.take(attempt)
        stations = []
        for attempt in attempts:
            try:
                stations.append(self._bench.enter(attempt))
            except Exception as error:  # noqa: BLE001 -- a task's code may raise anything; it is recorded, and the worker goes on
                attempt.error = reason_of(error)
                self._hand.end([attempt])
        return stations
