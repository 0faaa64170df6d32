"""Waiting for a study: hear of it or look at it, and show it, until it has ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from itertools import islice
from typing import TYPE_CHECKING

from search_spaces.problems import NotFound, StoreUnavailable
from search_spaces.results import StudyView, TrialView

from .events import Outage
from .http import ServiceUnreachable
from .pace import ENDED, Pace
from .progress import Progress, progress_on, say_seconds, stderr_console

if TYPE_CHECKING:
    from .client import Client

LOOK_SECONDS = 0.5
OUTAGE_SECONDS = 60.0
LISTEN_SECONDS = 15.0
"""Less than this before a timeout the study is looked at: a stream may be silent for ten seconds."""
COST_SECONDS = 5.0
"""How long the measured cost of a full training serves before it is asked for again."""
SayTrial = Callable[[TrialView], str | None]
"""What is to be shown of a trial that has changed; nothing of most of them."""


def wait_for_end(
    client: Client,
    name: str,
    *,
    progress: bool,
    timeout: float | None,
    say_trial: SayTrial | None = None,
    look: Callable[[], None] = lambda: None,
    sleep: Callable[[float], None] = time.sleep,
) -> StudyView:
    """Follow the study until it has ended, and return its last state; `say_trial` words each trial that changes.

    `look` is called at every look at the study; what it raises ends the waiting.

    Raises:
        TimeoutError: it has not ended within `timeout` seconds.
    """
    give_up = None if timeout is None else time.monotonic() + timeout
    with progress_on(stderr_console(), progress) as display:
        watch = _Watch(client, name, display, give_up, sleep)
        for view in watch.views(say_trial):
            look()
            display.show(view, watch.seconds_left(view))
            if view.state in ENDED:
                return view
            if give_up is not None and time.monotonic() >= give_up:
                why = f" ({view.reason})" if view.reason else ""
                raise TimeoutError(f"study {name} is still {view.state}{why} after {timeout:g} s; it goes on")
    raise AssertionError("views never end by themselves")


class _Watch:
    """Follows one study through outages, and keeps what an estimate of the time left needs."""

    def __init__(
        self, client: Client, name: str, display: Progress, give_up: float | None, sleep: Callable[[float], None]
    ) -> None:
        self._client = client
        self._name = name
        self._display = display
        self._give_up = give_up
        self._sleep = sleep
        self._pace = Pace()
        self._full_cost: float | None = None
        self._cost_until = 0.0

    def views(self, say_trial: SayTrial | None) -> Iterator[StudyView]:
        """Give the study again and again: at every change and sign of life while there is a stream, else by looking."""
        if self._may_listen():
            with suppress(NotFound):  # a service without events; whether the study is there shows at the first look
                yield from self._heard(say_trial)
        while True:
            yield self._look()
            self._sleep(LOOK_SECONDS)

    def _may_listen(self) -> bool:
        return self._give_up is None or self._give_up - time.monotonic() > LISTEN_SECONDS

    def _heard(self, say_trial: SayTrial | None) -> Iterator[StudyView]:
        view: StudyView | None = None
        with closing(self._client.follower(self._name).follow()) as events:
            for event in events:
                if isinstance(event, Outage):
                    self._note_outage(event.error)
                elif event is not None:
                    view = event.study or view
                    self._note_trial(event.trial, say_trial)
                if view is not None:
                    yield view
                if not self._may_listen():
                    return

    def _note_trial(self, trial: TrialView | None, say_trial: SayTrial | None) -> None:
        words = say_trial(trial) if trial is not None and say_trial is not None else None
        if words is not None:
            self._display.note(words)

    def _look(self) -> StudyView:
        """Return the study; an outage of the service is waited through for a minute."""
        give_up = time.monotonic() + OUTAGE_SECONDS
        while True:
            try:
                return self._client.get(self._name)
            except (ServiceUnreachable, StoreUnavailable) as error:
                if time.monotonic() >= give_up:
                    raise
                self._note_outage(error)

    def _note_outage(self, error: Exception) -> None:
        self._display.note(f"waiting through an outage of at most {say_seconds(OUTAGE_SECONDS)}: {error}")

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
