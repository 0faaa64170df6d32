"""The tasks that workers of this checkout can train, by name: one file each."""

from __future__ import annotations

from collections.abc import Iterable

from etude.task import Task
from search_spaces.problems import NotFound

from .digits import DigitsMlp
from .digits_noisy import DigitsNoisy
from .embedding import Embedding

TASKS: dict[str, type[Task]] = {task.name: task for task in (DigitsMlp, DigitsNoisy, Embedding)}


def named(names: Iterable[str]) -> dict[str, type[Task]]:
    """Return the tasks of these names.

    Raises:
        NotFound: there is no such task; the message lists those that there are.
    """
    names = list(names)
    for name in names:
        if name not in TASKS:
            raise NotFound(f"no task {name!r}; there are {', '.join(sorted(TASKS))}", field="task.name")
    return {name: TASKS[name] for name in names}


__all__ = ["TASKS", "named"]
