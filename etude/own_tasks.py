"""Tasks of one's own: a class by its module and name, or what installed packages offer under `etude.tasks`.

[project.entry-points."etude.tasks"]
wells = "my_package.tasks:Wells"
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.metadata import entry_points
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from search_spaces.model import field_path
from search_spaces.study import EXTERNAL_TASK, Direction
from search_spaces.work import LONGEST_HORIZON, Precision

from .task import LoadedTask, Task, judged_by_examples

GROUP = "etude.tasks"
REQUIRED = {
    "name": "how studies name it, such as name = 'wells'",
    "metric": "the key of `metrics` that decides, such as metric = 'loss'",
    "epochs": "the length of one full training, such as epochs = 20",
    "steps_per_epoch": "the updates of an epoch, such as steps_per_epoch = 100",
    "batch_size": "the examples of a full batch, such as batch_size = 32",
}


Count = Annotated[int, Field(ge=1, le=LONGEST_HORIZON)]
Names = Annotated[tuple[str, ...], Field(strict=False)]


class _Declared(BaseModel):
    """What the attributes of a task's class may be."""

    model_config = ConfigDict(strict=True)

    name: Annotated[str, Field(min_length=1, max_length=200)]
    version: str | None
    Params: type[BaseModel]
    metric: Annotated[str, Field(min_length=1)]
    direction: Direction
    further_metrics: Names
    epochs: Count
    steps_per_epoch: Count
    batch_size: Count
    evaluation_steps: Count | None
    parameter_groups: Names
    precision: Precision
    partial_batch: bool
    sparse_gradients: bool
    channels_last: bool
    tf32: bool
    cohort: bool


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
        WrongTask: it is not; the text names everything that is missing or wrong.
    """
    if not inspect.isclass(thing) or not issubclass(thing, Task):
        what = "there is nothing of that name" if thing is None else f"it is {thing!r}"
        raise WrongTask(f"{reference} is no subclass of etude.task.Task: {what}")
    if faults := list(_faults(thing)):
        raise WrongTask(f"{reference} is not a whole task: " + "; ".join(faults))
    if wrong := list(_wrong_values(thing)):
        raise WrongTask(f"{reference} is wrong: " + "; ".join(wrong))
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


def _wrong_values(task: type[Task]) -> Iterator[str]:
    """What is wrong with the attributes of a class that has them all."""
    try:
        declared = _Declared.model_validate({name: getattr(task, name) for name in _Declared.model_fields})
    except ValidationError as error:
        for one in error.errors(include_url=False):
            yield f"{field_path(one['loc'])} is {one['input']!r}: {one['msg'][0].lower()}{one['msg'][1:]}"
        return
    if declared.name == EXTERNAL_TASK or any(character.isspace() or character == "," for character in declared.name):
        yield f"name is {declared.name!r}: neither spaces nor commas are in a name, and {EXTERNAL_TASK} is taken"
    try:
        declared.Params.model_json_schema()
    except Exception as error:  # noqa: BLE001 -- pydantic has many ways to say that a type has no schema
        yield f"Params has no JSON Schema: {error}"


def _not_found(module_name: str, error: ModuleNotFoundError) -> str:
    missing = error.name or ""
    if module_name == missing or module_name.startswith(f"{missing}."):
        return f"there is no module {missing} on Python's path: install the package, or start in its directory"
    return f"importing {module_name} fails: it needs {missing}, which is not installed"
