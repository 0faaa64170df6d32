"""What a process that trains has done so far: kept in a small file, so that it can be read at any moment."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

SUFFIX = ".meter"


@dataclass
class Reading:
    """What the processes of a side have done."""

    training: float = 0.0
    """CPU seconds inside training: building the model and the optimizer, updates, evaluations."""
    process: float = 0.0
    """CPU seconds of the processes that train, when they last trained."""
    updates: float = 0.0
    trials: float = 0.0
    """Trials ended."""
    best: float = float("inf")
    """Least validation loss at the end of a full training."""

    def __sub__(self, before: Reading) -> Reading:
        """What came after `before`; the best is all that was ever seen."""
        return Reading(
            self.training - before.training, self.process - before.process, self.updates - before.updates,
            self.trials - before.trials, self.best,
        )  # fmt: skip


class Meter:
    """Counts for one process; a warm-up that ends in `restart` is forgotten."""

    def __init__(self, folder: Path) -> None:
        names = [field.name for field in fields(Reading)]
        self._places = {name: place for place, name in enumerate(names)}
        self._values = np.memmap(folder / f"{os.getpid()}{SUFFIX}", np.float64, "w+", shape=(len(names),))
        self._values[self._places["best"]] = np.inf

    @contextmanager
    def training(self) -> Iterator[None]:
        """Count the CPU time of this thread, which trains."""
        began = time.thread_time()
        try:
            yield
        finally:
            self._values[self._places["training"]] += time.thread_time() - began
            self._values[self._places["process"]] = time.process_time()

    def count(self, *, updates: int = 0, trials: int = 0) -> None:
        """Count updates made and trials ended."""
        self._values[self._places["updates"]] += updates
        self._values[self._places["trials"]] += trials

    def saw(self, loss: float) -> None:
        """Keep the best loss of full trainings."""
        self._values[self._places["best"]] = min(loss, self._values[self._places["best"]])

    def mark(self) -> None:
        """Note the process's CPU time where it has not trained yet, and forget what a warm-up has shown."""
        self._values[self._places["process"]] = time.process_time()
        self._values[self._places["best"]] = np.inf


def read(folder: Path) -> Reading:
    """Add up the meters of a folder."""
    total = Reading()
    for path in folder.glob(f"*{SUFFIX}"):
        values = np.fromfile(path, np.float64)
        one = Reading(*values.tolist())
        total = Reading(
            total.training + one.training, total.process + one.process, total.updates + one.updates,
            total.trials + one.trials, min(total.best, one.best),
        )  # fmt: skip
    return total
