"""One trial at a time: the engine for tasks that cannot be packed, or that gain nothing by it."""

from __future__ import annotations

import torch

from etude.task import Task, optimum_metric
from search_spaces.log import bind

from .averaging import pace_of
from .engine import Attempt, Interrupted, TrainingState
from .failures import OUT_OF_MEMORY, reason_of
from .resuming import StateDoesNotFit
from .training import Training

log = bind(__name__)


class Solo:
    """An `Engine` over `Training`: first in, first out, each trial to its end before the next begins."""

    size = 1

    def __init__(self, task: Task) -> None:
        self._task = task
        self._attempts: list[Attempt] = []
        self._training: Training | None = None
        """Of the first attempt, once it has begun."""

    @property
    def attempts(self) -> list[Attempt]:
        """The trials in it, the one in training first."""
        return list(self._attempts)

    def enter(self, attempt: Attempt) -> None:
        """Take a trial in, behind those that are there."""
        self._attempts.append(attempt)

    def leave(self, attempt: Attempt) -> None:
        """Let a trial go: pruned, stopped or lost."""
        if attempt is self._attempts[0]:
            self._training = None
        self._attempts.remove(attempt)

    def advance(self, interrupted: Interrupted) -> list[Attempt]:
        """Train the first trial to its next stop; empty when interrupted before."""
        if not self._attempts:
            return []
        attempt = self._attempts[0]
        try:
            stopped = self._train(attempt, interrupted)
        except Exception as error:  # noqa: BLE001 -- a task's code may raise anything; it is recorded, and the worker goes on
            attempt.error = reason_of(error)
            stopped = True
        if attempt.complete or attempt.error is not None:
            self.leave(attempt)
        if attempt.error == OUT_OF_MEMORY and torch.cuda.is_available():
            torch.cuda.empty_cache()  # what this training held is for the next one, whatever its shapes
        return [attempt] if stopped else []

    def state(self, attempt: Attempt) -> TrainingState | None:
        """Return where a trial stands; None while it has made no update."""
        if self._training is None or attempt is not self._attempts[0]:
            return attempt.start
        return self._training.state() if self._training.step else None

    def _train(self, attempt: Attempt, interrupted: Interrupted) -> bool:
        """Go to the next stop; tell whether it was reached."""
        training = self._training or self._begin(attempt)
        try:
            evaluation = next(training.evaluations(interrupted), None)
        finally:
            attempt.steps_done = training.updates
        if evaluation is None:
            return False
        attempt.evaluation, attempt.metrics = evaluation, dict(evaluation.further)
        if training.finished:
            self._complete(attempt, training)
        return True

    def _begin(self, attempt: Attempt) -> Training:
        try:
            self._training = self._built(attempt)
        except StateDoesNotFit as misfit:
            # A trial goes on from a state that can be used, else from the beginning.
            log.warning("started_again", study=attempt.claimed.study, trial=attempt.claimed.number, reason=str(misfit))
            attempt.start = None
            self._training = self._built(attempt)
        return self._training

    def _built(self, attempt: Attempt) -> Training:
        claimed = attempt.claimed
        return Training(
            self._task,
            claimed.candidate,
            horizon_steps=claimed.horizon_steps,
            seed=claimed.seed,
            rungs=tuple(claimed.rungs),
            start=attempt.start,
            pace=pace_of(claimed),
        )

    def _complete(self, attempt: Attempt, training: Training) -> None:
        claimed = attempt.claimed
        # The test split is touched here only, by trials whose outcome decides nothing: they come after the verdict.
        if claimed.test:
            attempt.metrics |= training.measure("test")
        if claimed.purpose == "confirmation":
            attempt.metrics |= optimum_metric(self._task, claimed.horizon_steps)
        attempt.complete = True
