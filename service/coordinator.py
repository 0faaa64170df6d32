"""The coordinator: keeps proposals ahead of the workers, and takes each study from queued to its answer.

It holds nothing that the store does not hold: killed at any moment, it or another one goes on where the store says.
Every step may be taken twice; the second time changes nothing.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable

from search_spaces.problems import Problem, StoreUnavailable
from store import Store
from store.claims import sweep_expired
from store.studies import LiveStudy, disown, own

from .dashboard_updates import DashboardUpdates
from .pulse import nothing
from .steps import step

log = logging.getLogger(__name__)

OWN_SECONDS = 8.0
"""How long a study stays with a coordinator that is not heard of: another has it within 10 s."""
BUSY_SECONDS, IDLE_SECONDS = 0.1, 1.0
"""Pause after a round that changed something, and the longest of those after rounds that did not."""
IDLE_GROWTH = 1.25
"""By which a pause is longer than the last: nothing new waits for more than a quarter of the time without news."""
SWEEP_SECONDS = 1.0
FIRST_OUTAGE_SECONDS, OUTAGE_SECONDS = 0.4, 5.0
"""First and longest pause while the store is away; a deadlock or a lock not got is over at once."""


class Coordinator:
    """Works on every live study that no other coordinator owns; `owner` is its name in the store.

    `pulse` is called at every round, whether the store is there or away.
    """

    def __init__(self, store: Store, owner: str | None = None, *, pulse: Callable[[], None] = nothing) -> None:
        self.store = store
        self._pulse = pulse
        self.owner = owner or f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._swept_at = float("-inf")
        self._dashboard = DashboardUpdates(store)

    def work(self, stop: threading.Event, news: threading.Event | None = None) -> None:
        """Work until `stop` is set, through outages of the store; then give the studies up.

        `news` ends a pause: a study was submitted or changed. Whoever sets `stop` sets it as well.
        """
        pause = BUSY_SECONDS
        while not stop.is_set():
            self._pulse()
            try:
                changed = self.round(stop)
            except StoreUnavailable as problem:
                log.warning("the store is away, trying again: %s", problem)
                pause = min(max(2 * pause, FIRST_OUTAGE_SECONDS), OUTAGE_SECONDS)
            else:
                pause = BUSY_SECONDS if changed else min(IDLE_GROWTH * pause, IDLE_SECONDS)
            if (news or stop).wait(pause) and news is not None:
                news.clear()
                pause = BUSY_SECONDS
        self._give_up()

    def round(self, stop: threading.Event | None = None) -> bool:
        """Take one step in every study of this coordinator's; tell whether anything changed.

        Raises:
            StoreUnavailable: the store cannot be reached just now.
        """
        studies = own(self.store, self.owner, OWN_SECONDS)
        changed = self._sweep() if studies else False
        for study in studies:
            if stop is not None and stop.is_set():
                break
            changed = self._step(study) or changed
        self._dashboard.refresh(studies)
        return changed

    def _step(self, study: LiveStudy) -> bool:
        """Take one study's step; what goes wrong in it must not hold up the others."""
        try:
            return step(self.store, study)
        except StoreUnavailable:
            raise
        except Problem as problem:
            log.warning("study %s: %s", study.name, problem)
        except Exception:
            log.exception("study %s: the step failed and is taken again", study.name)
        return False

    def _sweep(self) -> bool:
        """Return expired leases, of studies that nobody claims too."""
        if time.monotonic() - self._swept_at < SWEEP_SECONDS:
            return False
        self._swept_at = time.monotonic()
        return sweep_expired(self.store) > 0

    def _give_up(self) -> None:
        try:
            disown(self.store, self.owner)
        except StoreUnavailable:
            log.warning("the store is away: the studies stay this coordinator's for %.0f s", OWN_SECONDS)
