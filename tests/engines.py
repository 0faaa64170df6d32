"""Engines of many trials for tests of the loop: one that trains, and one that only counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from etude.task import Task
from search_spaces.work import Packing
from workers.bench import Choose, Opening
from workers.engine import Attempt, Engine, Evaluation, Interrupted, TrainingState
from workers.solo import Solo


class SideBySide:
    """Several trials, each trained by a `Solo` of its own to its next stop: what a pack looks like to the loop."""

    def __init__(self, task: Task, size: int) -> None:
        self.size = size
        self._task = task
        self._solos: dict[Attempt, Solo] = {}

    @property
    def attempts(self) -> list[Attempt]:
        return list(self._solos)

    def enter(self, attempt: Attempt) -> None:
        self._solos[attempt] = Solo(self._task)
        self._solos[attempt].enter(attempt)

    def leave(self, attempt: Attempt) -> None:
        del self._solos[attempt]

    def advance(self, interrupted: Interrupted) -> list[Attempt]:
        behind_first = sorted(self._solos, key=lambda attempt: attempt.steps_done)
        stopped = [stopped for attempt in behind_first for stopped in self._solos[attempt].advance(interrupted)]
        for attempt in stopped:
            if attempt.complete or attempt.error is not None:
                del self._solos[attempt]
        return stopped

    def state(self, attempt: Attempt) -> TrainingState | None:
        return self._solos[attempt].state(attempt)


class Counting:
    """Trains nothing: each turn every trial makes ten steps, and `clock` goes on by one second a step."""

    def __init__(self, size: int, clock: Clock) -> None:
        self.size = size
        self.attempts: list[Attempt] = []
        self._clock = clock

    def enter(self, attempt: Attempt) -> None:
        self.attempts.append(attempt)

    def leave(self, attempt: Attempt) -> None:
        self.attempts.remove(attempt)

    def advance(self, interrupted: Interrupted) -> list[Attempt]:
        stopped = list(self.attempts)
        self._clock.now += 10.0
        for attempt in stopped:
            attempt.steps_done += 10
            attempt.evaluation = Evaluation(attempt.steps_done, 1.0, {})
            attempt.complete = attempt.steps_done >= attempt.claimed.horizon_steps
        self.attempts = [attempt for attempt in stopped if not attempt.complete]
        return stopped

    def state(self, attempt: Attempt) -> TrainingState | None:
        return None


class Clock:
    """Seconds that pass only when somebody says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def chosen(size: int, make: Callable[[Task], Engine] | None = None) -> Choose:
    """Decide for engines of `size` trials, by default side by side."""

    def choose(task: Task) -> Opening:
        def opened() -> Any:
            return make(task) if make is not None else SideBySide(task, size)

        return Opening(opened, Packing(size=size, reason="measured"))

    return choose
