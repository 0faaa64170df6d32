"""Which tasks a worker offers: those on board, those of installed packages, and those that its command names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from etude.own_tasks import WrongTask, installed_tasks, load_task
from etude.task import Task
from search_spaces.log import Log
from search_spaces.problems import InvalidSpec, NotFound

from .tasks import TASKS


def offered(names: str | None, references: Sequence[str], log: Log) -> dict[str, type[Task]]:
    """Return the tasks to offer by name.

    Args:
        names: names of tasks on board and of installed packages, with commas; None: all of them, or none where
            `references` name some.
        references: own tasks, as `package.module:Class`.
        log: is told which installed tasks cannot be used.

    Raises:
        NotFound: there is no task of such a name.
        InvalidSpec: a reference leads to no task, or two tasks have one name.
    """
    own = [_loaded(reference) for reference in references]
    if own and names is None:
        return _by_name(own)
    installed = installed_tasks(lambda words: log.warning("task_not_usable", reason=words))
    known = _by_name([*TASKS.values(), *installed])
    chosen = list(known) if names is None else names.split(",")
    for name in chosen:
        if name not in known:
            raise NotFound(f"no task {name!r}; there are {', '.join(sorted(known))}", field="task.name")
    return _by_name([*(known[name] for name in chosen), *own])


def _loaded(reference: str) -> type[Task]:
    try:
        return load_task(reference)
    except WrongTask as wrong:
        raise InvalidSpec(str(wrong), field="task") from wrong


def _by_name(tasks: Iterable[type[Task]]) -> dict[str, type[Task]]:
    found: dict[str, type[Task]] = {}
    for task in tasks:
        other = found.setdefault(task.name, task)
        if other is not task:
            places = " and ".join(f"{one.__module__}:{one.__qualname__}" for one in (other, task))
            raise InvalidSpec(f"two tasks are named {task.name}: {places}", field="task.name")
    return found
