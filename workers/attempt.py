"""An attempt at a trial: the training that a claim asks for, with what goes wrong in it caught and kept."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Iterator, Mapping

from etude.task import Task
from search_spaces.work import ClaimedTask, ClaimedTrial

from .training import Diverged, Evaluation, HorizonMismatch, Training

ERROR_CHARACTERS = 4000
"""Of a traceback, the end: that is where the reason stands."""


class Shelf:
    """The tasks that a worker offers, made once for each set of parameters and used for many trials."""

    def __init__(self, tasks: Mapping[str, type[Task]], device: str = "cpu") -> None:
        self._kinds = tasks
        self._device = device
        self._made: dict[tuple[str, str], Task] = {}

    def task(self, claimed: ClaimedTask) -> Task:
        """Return the task with its parameters.

        Raises:
            InvalidSpec: the parameters do not fit.
        """
        key = (claimed.name, json.dumps(claimed.params, sort_keys=True))
        if key not in self._made:
            self._made[key] = self._kinds[claimed.name](claimed.params, self._device)
        return self._made[key]


class Attempt:
    """One trial's training as the loop sees it: evaluations, then how it ended."""

    def __init__(self, claimed: ClaimedTrial, shelf: Shelf) -> None:
        self.error: str | None = None
        """Why it failed: `diverged`, `horizon_mismatch: ...`, or the end of a traceback; None while nothing did."""
        self.value: float | None = None
        """The decision metric at the last evaluation."""
        self.metrics: dict[str, float] = {}
        """The other metrics at the last evaluation; after a confirmation those of the test split too."""
        self.complete = False
        self._claimed = claimed
        self._shelf = shelf
        self._training: Training | None = None

    @property
    def steps_done(self) -> int:
        """Updates made."""
        return self._training.updates if self._training else 0

    @property
    def reason(self) -> str | None:
        """The last line of the error, which says what it was."""
        return self.error.strip().rsplit("\n", 1)[-1] if self.error else None

    def evaluations(self, interrupted: Callable[[], bool]) -> Iterator[Evaluation]:
        """Train, yielding at every stop; what the task raises ends it and is kept in `error`.

        What the caller does with an evaluation is outside: its errors are its own.
        """
        try:
            yield from self._train(interrupted)
        except Diverged:
            self.error = "diverged"
        except HorizonMismatch as mismatch:
            self.error = str(mismatch)
        except Exception:  # noqa: BLE001 -- a task's code may raise anything; it is recorded, and the worker goes on
            self.error = _as_text(traceback.format_exc()[-ERROR_CHARACTERS:])

    def _train(self, interrupted: Callable[[], bool]) -> Iterator[Evaluation]:
        claimed = self._claimed
        training = self._training = Training(
            self._shelf.task(claimed.task),
            claimed.candidate,
            horizon_steps=claimed.horizon_steps,
            seed=claimed.seed,
            rungs=tuple(claimed.rungs),
        )
        for evaluation in training.evaluations(interrupted):
            self.value, self.metrics = evaluation.value, dict(evaluation.further)
            yield evaluation
        if training.finished:
            self._complete(training)

    def _complete(self, training: Training) -> None:
        # The test split is touched here only: once, by trials whose outcome decides nothing in the search.
        if self._claimed.purpose == "confirmation":
            self.metrics |= training.measure("test")
        self.complete = True


def _as_text(written: str) -> str:
    """Write as escapes what no database column takes: NUL, and halves of surrogate pairs."""
    return written.encode("utf-8", "backslashreplace").decode("utf-8").replace("\x00", "\\x00")
