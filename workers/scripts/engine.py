"""The engine for scripts: as many processes at once as the script's file allows, each trial in its own."""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path
from threading import Event

from ..engine import Attempt, Evaluation, Interrupted, TrainingState
from ..failures import DIVERGED, reason_of
from .training import ScriptTraining

LOOK_SECONDS = 0.05
"""Between two looks at the processes; what a script prints is looked at at once."""
TURN_SECONDS = 1.0
"""After so long without news other engines of the worker have their turn; the processes go on."""
MOST_KILLS = 3
"""A trial whose script was killed so often by somebody else has failed: it would be for ever so."""
Begin = Callable[[Attempt, Path, Event], ScriptTraining]


class ScriptEngine:
    """An `Engine` whose trials are scripts; a trial cannot be saved, and one that is given back begins again."""

    def __init__(self, begin: Begin, slots: int, directory: Path) -> None:
        """Start scripts by `begin`, at most `slots` at once, each with a directory of its own below `directory`."""
        self._begin = begin
        self._directory = directory
        self.size = slots
        self._waiting: deque[Attempt] = deque()
        self._training: dict[Attempt, ScriptTraining] = {}
        self._ending: list[ScriptTraining] = []
        self._kills: Counter[tuple[str, int]] = Counter()
        self._news = Event()

    @property
    def attempts(self) -> list[Attempt]:
        """The trials in it."""
        return [*self._training, *self._waiting]

    def enter(self, attempt: Attempt) -> None:
        """Take a trial in; its script starts when a place is free."""
        attempt.start = None
        self._waiting.append(attempt)

    def leave(self, attempt: Attempt) -> None:
        """Let a trial go: its processes are asked to end, and killed after the grace."""
        if attempt in self._waiting:
            self._waiting.remove(attempt)
            return
        training = self._training.pop(attempt)
        training.end()
        self._ending.append(training)

    def advance(self, interrupted: Interrupted) -> list[Attempt]:
        """Wait until some trials have a new value of the metric or have ended, and return them."""
        give_up = time.monotonic() + TURN_SECONDS
        while not interrupted() and time.monotonic() < give_up:
            stopped = [*self._start(), *self._look()]
            self._bury()
            if stopped:
                return stopped
            self._news.wait(LOOK_SECONDS)
            self._news.clear()
        return []

    def state(self, attempt: Attempt) -> TrainingState | None:
        """Return None: where a script stands is its own affair."""

    def close(self, seconds: float) -> None:
        """End every process; those that still live after `seconds` are killed."""
        for attempt in self.attempts:
            self.leave(attempt)
        give_up = time.monotonic() + seconds
        while self._ending and time.monotonic() < give_up:
            self._bury()
            time.sleep(LOOK_SECONDS if self._ending else 0.0)
        for training in self._ending:
            training.close()
        self._ending.clear()

    def _start(self) -> list[Attempt]:
        """Start those that wait, as places are free; return those that could not be started."""
        failed = []
        while self._waiting and len(self._training) + len(self._ending) < self.size:
            attempt = self._waiting.popleft()
            try:
                self._training[attempt] = self._begin(attempt, self._place(attempt), self._news)
            except Exception as error:  # noqa: BLE001 -- a directory that is not there, a candidate that does not fit
                attempt.error = reason_of(error)
                failed.append(attempt)
        return failed

    def _place(self, attempt: Attempt) -> Path:
        claimed = attempt.claimed
        return self._directory / claimed.study / f"{claimed.number}-{claimed.lease[:8]}"

    def _look(self) -> list[Attempt]:
        return [attempt for attempt, training in list(self._training.items()) if self._moved(attempt, training)]

    def _moved(self, attempt: Attempt, training: ScriptTraining) -> bool:
        """Take in what a script has shown; tell whether there is a value to report or an end."""
        over = training.over
        training.look()
        attempt.steps_done = max(attempt.steps_done, min(training.updates, attempt.claimed.horizon_steps))
        evaluation = training.take()
        if evaluation is not None:
            return self._evaluated(attempt, evaluation)
        if over:
            self._ended(attempt, training)
        return over

    def _evaluated(self, attempt: Attempt, evaluation: Evaluation) -> bool:
        if not math.isfinite(evaluation.value):
            attempt.error = DIVERGED
            self.leave(attempt)
            return True
        step = min(evaluation.step, attempt.claimed.horizon_steps)
        attempt.evaluation = Evaluation(step, evaluation.value, evaluation.further)
        return True

    def _ended(self, attempt: Attempt, training: ScriptTraining) -> None:
        """Note how a script came to its end."""
        del self._training[attempt]
        key = (attempt.claimed.study, attempt.claimed.number)
        if training.was_killed:
            self._kills[key] += 1
            attempt.given_back = self._kills[key] < MOST_KILLS
        if not attempt.given_back:
            attempt.error = training.failure()
            attempt.complete = attempt.error is None
            del self._kills[key]
        training.close()

    def _bury(self) -> None:
        """Let go of those that were asked to end and have."""
        for training in [one for one in self._ending if one.over]:
            self._ending.remove(training)
            training.close()
