"""The Task API: what a schedule is searched for, which is data, a model, a loss and a metric.

A task says nothing of optimizers and learning rates: those are what the search tries. It is free of torch at
import, so that a task of your own needs this package only. Subclass `Task`, give its class attributes and its
methods, and a worker that offers it trains candidates on it:

    class Wells(Task):
        name = "wells"
        metric = "loss"
        epochs = 20
        steps_per_epoch = 100
        batch_size = 32

        def model(self, seed): ...           # a torch.nn.Module
        def batch(self, step, seed): ...     # what `loss` reads
        def loss(self, model, batch): ...    # a scalar tensor
        def evaluate(self, model, split): ...  # {"loss": 0.31}
"""

from __future__ import annotations

import hashlib
import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ValidationError

from search_spaces.model import Model, problem_from_validation
from search_spaces.work import OfferedHorizon, OfferedTask, Packing

Split = Literal["train", "validation", "test"]
Module = Any
"""A torch.nn.Module."""


class NoParams(Model):
    """A task without parameters."""


class Task(ABC):
    """What is trained. One object serves many trials, one after another or taking turns: keep no state of a trial.

    Everything random in `batch` is a function of its arguments; so a trial that stops and goes on, or takes turns
    with others, sees the same data.
    """

    name: ClassVar[str]
    """How studies name it."""
    version: ClassVar[str | None] = None
    """Changes whenever results would change; None: a hash of the source files of the class and its bases."""
    Params: ClassVar[type[BaseModel]] = NoParams
    """What a study may set in `task.params`."""
    metric: ClassVar[str]
    """The key of `evaluate` that decides; studies know it as `validation_<metric>`."""
    direction: ClassVar[Literal["minimize", "maximize"]] = "minimize"
    further_metrics: ClassVar[tuple[str, ...]] = ()
    """Other keys of `evaluate`: recorded, not optimised."""
    epochs: ClassVar[int]
    """Length of one full training, where a study does not say otherwise."""
    steps_per_epoch: ClassVar[int]
    """Optimizer updates in one epoch."""
    batch_size: ClassVar[int]
    """Examples in a full batch."""
    evaluation_steps: ClassVar[int | None] = None
    """Updates between two evaluations; None: one epoch."""
    parameter_groups: ClassVar[tuple[str, ...]] = ()
    """Names of the groups that `groups` returns, for discriminative learning rates."""
    sparse_gradients: ClassVar[bool] = False
    """Whether some layer's gradients are sparse tensors."""

    def __init__(self, params: Mapping[str, Any] | None = None, device: str = "cpu") -> None:
        """Check the parameters; `device` is where `batch` puts its tensors.

        Raises:
            InvalidSpec: the parameters do not fit `Params`.
        """
        try:
            self.params = self.Params.model_validate(dict(params or {}))
        except ValidationError as error:
            raise problem_from_validation(error, "task.params") from error
        self.device = device

    @classmethod
    def available(cls) -> str | None:
        """Return None when data and packages are at hand, else the reason in words."""
        return None

    @abstractmethod
    def model(self, seed: int) -> Module:
        """Return a fresh torch.nn.Module; torch's generators are seeded with `seed` before the call."""

    @abstractmethod
    def batch(self, step: int, seed: int) -> Any:
        """Return the training batch of update `step` (0 is the first), on the task's device."""

    @abstractmethod
    def loss(self, model: Module, batch: Any) -> Any:
        """Return the mean loss of a batch as a scalar tensor to differentiate."""

    @abstractmethod
    def evaluate(self, model: Module, split: Split) -> dict[str, float]:
        """Return every metric on a split; the model is in evaluation mode and gradients are off.

        The split `test` is asked for once, at the end of a confirmation: load it no earlier.
        """

    def groups(self, model: Module) -> Iterable[Any]:
        """Return the parameters to train: tensors, or dicts with `params` and a `name` of `parameter_groups`."""
        parameters: Iterable[Any] = model.parameters()
        return parameters


def task_version(task: type[Task]) -> str:
    """Return the declared version, or a hash of the files that the class and its bases are written in."""
    if task.version is not None:
        return task.version
    digest = hashlib.sha256()
    own = (base for base in task.__mro__ if issubclass(base, Task) and base is not Task)
    for file in dict.fromkeys(inspect.getsourcefile(base) for base in own):
        with open(str(file), "rb") as source:  # noqa: PTH123 -- a path as text, read once
            digest.update(source.read())
    return digest.hexdigest()[:12]


def metric_name(metric: str, split: Split = "validation") -> str:
    """Name a metric by its split, as studies and reports do: loss -> validation_loss."""
    return f"{split}_{metric}"


def offer(task: type[Task], packing: Packing | None = None) -> OfferedTask:
    """Return what a worker announces of a task that it can train."""
    reason = task.available()
    return OfferedTask(
        name=task.name,
        version=task_version(task),
        metric=metric_name(task.metric),
        direction=task.direction,
        horizon=OfferedHorizon(epochs=task.epochs, steps_per_epoch=task.steps_per_epoch),
        params_schema=task.Params.model_json_schema(),
        sparse_gradients=task.sparse_gradients,
        parameter_groups=list(task.parameter_groups),
        further_metrics=[metric_name(name) for name in task.further_metrics],
        available=reason is None,
        reason=reason,
        packing=packing or Packing(),
    )
