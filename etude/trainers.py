"""What the adapters of training frameworks share; neither torch nor a framework is imported here."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, Self

from search_spaces.problems import InvalidSpec, Unsupported

if TYPE_CHECKING:
    from .ask import LeasedTrial


def framework(names: Sequence[str], install: str) -> ModuleType:
    """Return the first of these modules that the program has imported, else the first that is installed.

    Raises:
        ModuleNotFoundError: none is; the message says what to install.
    """
    imported = [name for name in names if sys.modules.get(name) is not None]
    for name in [*imported, *names]:
        try:
            return import_module(name)
        except ModuleNotFoundError as error:
            if error.name not in (name, name.partition(".")[0]):
                raise
    raise ModuleNotFoundError(f"this needs a package that is not installed: pip install {install}", name=names[0])


class Hooks:
    """Hooks of a callback; the other ones are those of the framework's own class, which its objects are of as well.

    That class is looked up when a callback is made: by then the program has imported its framework.
    """

    def __new__(cls, *_: Any, **__: Any) -> Self:
        """Make an object of this class and of the framework's."""
        hooks: Any = cls
        made: Self = object.__new__(_both(hooks, cls.framework_class()))
        return made

    @classmethod
    def framework_class(cls) -> Any:
        """Return the framework's class of callbacks."""
        raise NotImplementedError


@cache
def _both(hooks: Any, base: Any) -> Any:
    return hooks if issubclass(hooks, base) else type(hooks.__name__, (hooks, base), {"__module__": hooks.__module__})


def parameters_of(model: Any, trial: LeasedTrial) -> Iterable[Any]:
    """Return a model's parameters, as groups where the candidate has LR ratios: a ratio's name is a submodule's."""
    ratios = trial.candidate.lr_ratios
    if not ratios:
        return list(model.parameters())
    groups: dict[str, list[Any]] = {name: [] for name in [*ratios, ""]}
    for path, parameter in model.named_parameters():
        submodule = path.partition(".")[0]
        groups[submodule if submodule in ratios else ""].append(parameter)
    return [{"params": found, "name": name} for name, found in groups.items() if found]


def refuse_other_length(trial: LeasedTrial, updates: float, remedy: str) -> None:
    """Refuse a training that makes more or fewer updates than the trial's horizon.

    Raises:
        InvalidSpec: it does.
    """
    if updates != trial.horizon_steps:
        plan = f"{updates:.0f} updates" if 0 < updates < float("inf") else "no fixed number of updates"
        raise InvalidSpec(
            f"this training has {plan}, the study's trials have {trial.horizon_steps}: {remedy}", field="max_steps"
        )


def refuse_several_processes(count: int) -> None:
    """Refuse a training that several processes share: each would have leased a trial of its own.

    Raises:
        Unsupported: it is one.
    """
    if count != 1:
        raise Unsupported(
            f"a trial is trained by one process, this training has {count}: start the script once for each device",
            field="devices",
        )
