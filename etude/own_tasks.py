"""Tasks of one's own: a class by its module and name, or what installed packages offer under `etude.tasks`.

[project.entry-points."etude.tasks"]
wells = "my_package.tasks:Wells"
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from .task import LoadedTask, Task, judged_by_examples

GROUP = "etude.tasks"
REQUIRED = {
    "name": "how studies name it, such as name = 'wells'",
    "metric": "the key of `metrics` that decides, such as metric = 'loss'",
    "epochs": "the length of one full training, such as epochs = 20",
    "steps_per_epoch": "the updates of an epoch, such as steps_per_epoch = 100",
    "batch_size": "the examples of a full batch, such as batch_size = 32",
}


class WrongTask(ValueError):
    """What is named is no task, or one with something missing; the text says what."""


def load_task(reference: str) -> type[Task]:
    """Return the task class that `package.module:Class` names.

    Raises:
        WrongTask: there is no such class, importing it fails, or it lacks something that a task has to say.
    """
    module_name, _, name = reference.partition(":")
    if not module_name or not name.isidentifier():
        raise WrongTask(f"{reference!r} names no task: package.module:Class is meant")
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        raise WrongTask(_not_found(module_name, error)) from error
    except Exception as error:
        raise WrongTask(f"importing {module_name} fails with {type(error).__name__}: {error}") from error
    return checked(getattr(module, name, None), reference)


def checked(thing: Any, reference: str) -> type[Task]:
    """Return what was found under a name, if it is a task that says what a task has to say.

    Raises:
        WrongTask: it is not; the text names everything that is missing.
    """
    if not inspect.isclass(thing) or not issubclass(thing, Task):
        what = "there is nothing of that name" if thing is None else f"it is {thing!r}"
        raise WrongTask(f"{reference} is no subclass of etude.task.Task: {what}")
    faults = list(_faults(thing))
    if faults:
        raise WrongTask(f"{reference} is not a whole task: " + "; ".join(faults))
    return thing


def installed_tasks(say: Callable[[str], None]) -> list[type[Task]]:
    """Return the tasks that installed packages offer; `say` is told of each that cannot be used, and why."""
    found = []
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        try:
            task = load_task(point.value)
        except WrongTask as wrong:
            say(str(wrong))
        else:
            found.append(task)
    return found


def _faults(task: type[Task]) -> Iterator[str]:
    yield from (f"{name} is not set ({words})" for name, words in REQUIRED.items() if not hasattr(task, name))
    yield from (f"{name}() is not written" for name in sorted(getattr(task, "__abstractmethods__", ())))
    if judged_by_examples(task) and task.metrics is Task.metrics:
        yield "metrics() is not written, nor evaluate() in its place"
    if judged_by_examples(task) and not issubclass(task, LoadedTask) and task.examples is Task.examples:
        yield "examples() is not written, nor evaluate() in its place"


def _not_found(module_name: str, error: ModuleNotFoundError) -> str:
    missing = error.name or ""
    if module_name == missing or module_name.startswith(f"{missing}."):
        return f"there is no module {missing} on Python's path: install the package, or start in its directory"
    return f"importing {module_name} fails: it needs {missing}, which is not installed"
