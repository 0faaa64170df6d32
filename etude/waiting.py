"""Waiting for a study: look, show, sleep, until it has ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING

from search_spaces.problems import StoreUnavailable
from search_spaces.results import StudyView

from .http import ServiceUnreachable
from .pace import ENDED, Pace
from .progress import Progress, progress_on, say_seconds, stderr_console

if TYPE_CHECKING:
    from .client import Client

LOOK_SECONDS = 0.5
OUTAGE_SECONDS = 60.0
COST_SECONDS = 5.0
"""How long the measured cost of a full training serves before it is asked for again."""


def wait_for_end(
    client: Client,
    name: str,
    *,
    progress: bool,
    timeout: float | None,
    sleep: Callable[[float], None] = time.sleep,
) -> StudyView:
    """Look at the study every half second until it has ended, and return its last state.

    Raises:
        TimeoutError: it has not ended within `timeout` seconds.
    """
    give_up = None if timeout is None else time.monotonic() + timeout
    watch = _Watch(client, name)
    with progress_on(stderr_console(), progress) as display:
        while True:
            view = watch.look(display)
            display.show(view, watch.seconds_left(view))
            if view.state in ENDED:
                return view
            if give_up is not None and time.monotonic() >= give_up:
                raise TimeoutError(f"study {name} is still {view.state} after {timeout:g} s; it goes on")
            sleep(LOOK_SECONDS)


class _Watch:
    """Looks at one study through outages, and keeps what an estimate of the time left needs."""

    def __init__(self, client: Client, name: str) -> None:
        self._client = client
        self._name = name
        self._pace = Pace()
        self._full_cost: float | None = None
        self._cost_until = 0.0

    def look(self, display: Progress) -> StudyView:
        """Return the study; an outage of the service is waited through for a minute."""
        give_up = time.monotonic() + OUTAGE_SECONDS
        while True:
            try:
                return self._client.view(self._name)
            except (ServiceUnreachable, StoreUnavailable) as error:
                if time.monotonic() >= give_up:
                    raise
                display.note(f"waiting through an outage of at most {say_seconds(OUTAGE_SECONDS)}: {error}")

    def seconds_left(self, view: StudyView) -> float | None:
        """Estimate the seconds until the answer, in the search with the confirmation's full trainings."""
        now = time.monotonic()
        if view.state == "running" and now >= self._cost_until:
            self._cost_until = now + COST_SECONDS
            self._full_cost = self._measured_cost(view)
        return self._pace.seconds_left(now, view, self._full_cost)

    def _measured_cost(self, view: StudyView) -> float | None:
        """What a complete trial costs, in units of the mean trial; None where none has ended."""
        complete = list(islice(self._client.trials(self._name, state="complete"), 20))
        spent = view.budget.used_worker_seconds
        if not complete or not spent or not view.counts.ended:
            return None
        full = sum(trial.worker_seconds for trial in complete) / len(complete)
        return full / (spent / view.counts.ended)
