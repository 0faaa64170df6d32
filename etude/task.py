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
        def examples(self, split): ...       # the batches that evaluation reads
        def metrics(self, model, batch): ...  # {"loss": a scalar tensor}

Data that do not fit in memory come through a loader: see `LoadedTask`. docs/tasks.md is the guide.
"""

from __future__ import annotations

import hashlib
import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ValidationError

from search_spaces.model import Model, problem_from_validation
from search_spaces.work import Arithmetic, OfferedHorizon, OfferedTask, Packing, Precision

OPTIMUM = "optimum"
Split = Literal["train", "validation", "test"]
Module = Any
"""A torch.nn.Module."""
Scalar = Any
"""A torch.Tensor without dimensions."""


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
    """The key of `metrics` that decides; studies know it as `validation_<metric>`."""
    direction: ClassVar[Literal["minimize", "maximize"]] = "minimize"
    further_metrics: ClassVar[tuple[str, ...]] = ()
    """Other keys of `metrics`: recorded, not optimised."""
    epochs: ClassVar[int]
    """Length of one full training, where a study does not say otherwise."""
    steps_per_epoch: ClassVar[int]
    """Optimizer updates in one epoch."""
    batch_size: ClassVar[int]
    """Examples in a full batch."""
    partial_batch: ClassVar[bool] = False
    """Whether the last batch of an epoch is smaller: trials then share a step at the same place of an epoch only."""
    evaluation_steps: ClassVar[int | None] = None
    """Updates between two evaluations; None: one epoch."""
    parameter_groups: ClassVar[tuple[str, ...]] = ()
    """Names of the groups that `groups` returns, for discriminative learning rates."""
    sparse_gradients: ClassVar[bool] = False
    """Whether some layer's gradients are sparse tensors."""
    precision: ClassVar[Precision] = "float32"
    """What model and batches are made in. `bf16`: in float32, and trained and evaluated under autocast to bfloat16."""
    channels_last: ClassVar[bool] = False
    """Whether the engine lays out the model and four-dimensional tensors of batches channels last."""
    tf32: ClassVar[bool] = False
    """Whether a GPU may round the factors of float32 products to TF32's 10 bits."""
    has_test_split: ClassVar[bool] = True
    """Whether `test` is a split of its own; without one an answer has no score on data that decided nothing."""
    cohort: ClassVar[bool] = False
    """Whether trials trained together have to enter together, with one seed, and share their batches."""

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

    def examples(self, split: Split) -> Iterable[Any]:
        """Return the batches that `metrics` judges a split by, on the task's device and always the same.

        The split `test` is asked for by two trainings alone, after a study's verdict: load it no earlier.
        """
        raise NotImplementedError(f"{type(self).__name__} has to give `examples` and `metrics`, or `evaluate`")

    def metrics(self, model: Module, batch: Any) -> dict[str, Scalar]:
        """Return every metric's mean over a batch as a scalar tensor; the model evaluates, gradients are off.

        Nothing here may ask a tensor for its value (`.item()`, `if`): many trials are evaluated at once under vmap.
        """
        raise NotImplementedError(f"{type(self).__name__} has to give `examples` and `metrics`, or `evaluate`")

    def evaluate(self, model: Module, split: Split) -> dict[str, float]:
        """Return every metric on a split: its mean over the split's examples.

        A metric that is no such mean (an F1 score) overrides this; its trials are then evaluated one by one.
        """
        sums: dict[str, Scalar] = {}
        count = 0
        for batch in self.examples(split):
            size = example_count(batch)
            count += size
            for name, value in self.metrics(model, batch).items():
                sums[name] = sums.get(name, 0) + value.double() * size
        return {name: (total / count).item() for name, total in sums.items()}

    def optimum(self, steps: int) -> float | None:  # noqa: ARG002 -- problems whose answer is known override this
        """Return the least (or largest) value to expect of the decision metric after `steps` updates, where known."""
        return None

    def groups(self, model: Module) -> Iterable[Any]:
        """Return the parameters to train: tensors, or dicts with `params` and a `name` of `parameter_groups`."""
        parameters: Iterable[Any] = model.parameters()
        return parameters

    def close(self) -> None:  # noqa: B027 -- most tasks hold nothing open
        """Let go of what is open, such as a loader's processes; a worker calls it when it needs the task no more.

        It may be called more than once, and of a task that has trained nothing.
        """


class LoadedTask(Task):
    """A task whose data come through a loader, such as a torch DataLoader, because they do not fit in memory.

    Give `loader` in place of `batch` and `examples`. Trials that are packed enter together and share batches. A trial
    that goes on from a checkpoint passes over the batches of its epoch that it has seen.
    """

    cohort = True

    def __init__(self, params: Mapping[str, Any] | None = None, device: str = "cpu") -> None:
        """Open nothing yet."""
        super().__init__(params, device)
        self._walk: _Walk | None = None

    @abstractmethod
    def loader(self, split: Split, seed: int, epoch: int) -> Iterable[Any]:
        """Return a split's batches: tensors, or tuples, lists and dicts of them.

        For `train`, at least `steps_per_epoch` of them, whose order and random changes are a function of seed and
        epoch (give a DataLoader a generator seeded from both); the others are asked for with zeros, in a fixed order.
        """

    def batch(self, step: int, seed: int) -> Any:
        """Return the next batch of the epoch; one that is not next begins the epoch again and walks up to it.

        Raises:
            ValueError: the loader ends before `steps_per_epoch` batches.
        """
        epoch, place = divmod(step, self.steps_per_epoch)
        # A walk is let go first: a DataLoader's processes end before the next ones start, and an error leaves none.
        walk, self._walk = self._walk, None
        if walk is None or not walk.leads_to(seed, epoch, place):
            walk = None
            walk = _Walk(seed, epoch, iter(self.loader("train", seed, epoch)))
        try:
            batch = walk.to(place)
        except StopIteration:
            raise ValueError(
                f"the loader of epoch {epoch} ended before batch {place} of {self.steps_per_epoch}"
            ) from None
        self._walk = walk
        return _moved(batch, self.device)

    def examples(self, split: Split) -> Iterator[Any]:
        """Return the batches of a split as the loader gives them."""
        return (_moved(batch, self.device) for batch in self.loader(split, 0, 0))

    def close(self) -> None:
        """Let go of the epoch under way, and with it of its loader's processes; override with `super().close()`."""
        self._walk = None


class _Walk:
    """A walk through one epoch's batches; it remembers the last, which packed trials ask for again."""

    def __init__(self, seed: int, epoch: int, batches: Iterator[Any]) -> None:
        self._of = (seed, epoch)
        self._place = -1
        self._batches = batches
        self._last: Any = None

    def leads_to(self, seed: int, epoch: int, place: int) -> bool:
        """Tell whether the batch at this place is the last one or ahead."""
        return self._of == (seed, epoch) and self._place <= place

    def to(self, place: int) -> Any:
        """Return the batch at a place that is not behind."""
        while self._place < place:
            self._last = next(self._batches)
            self._place += 1
        return self._last


def _moved(batch: Any, device: str) -> Any:
    """Return the batch with its tensors on the device."""
    if isinstance(batch, Mapping):
        return {name: _moved(part, device) for name, part in batch.items()}
    if isinstance(batch, tuple | list):
        return tuple(_moved(part, device) for part in batch)
    return batch.to(device, non_blocking=True) if hasattr(batch, "to") else batch


def example_count(batch: Any) -> int:
    """Return the number of examples in a batch: the length of its first tensor.

    >>> example_count((b"abc", {"labels": b"xyz"}))
    3
    """
    first = batch
    while isinstance(first, Mapping | tuple | list):
        first = next(iter(first.values() if isinstance(first, Mapping) else first))
    return len(first)


def judged_by_examples(task: type[Task]) -> bool:
    """Tell whether evaluation is the mean of `metrics` over `examples`, so that trials can be evaluated together."""
    return task.evaluate is Task.evaluate


def task_version(task: type[Task]) -> str:
    """Return the declared version, or a hash of the files that the class and its bases are written in."""
    if task.version is not None:
        return task.version
    digest = hashlib.sha256()
    own = (base for base in task.__mro__ if issubclass(base, Task) and base.__module__ != __name__)
    for file in dict.fromkeys(inspect.getsourcefile(base) for base in own):
        with open(str(file), "rb") as source:  # noqa: PTH123 -- a path as text, read once
            digest.update(source.read())
    return digest.hexdigest()[:12]


def metric_name(metric: str, split: Split = "validation") -> str:
    """Name a metric by its split, as studies and reports do: loss -> validation_loss."""
    return f"{split}_{metric}"


def optimum_metric(task: Task, steps: int) -> dict[str, float]:
    """Return what a confirmation's training records of a task whose best value is known: `optimum_<metric>`."""
    best = task.optimum(steps)
    return {} if best is None else {f"{OPTIMUM}_{task.metric}": best}


def offer(task: type[Task], packing: Packing | None = None) -> OfferedTask:
    """Return what a worker announces of a task that it can train."""
    reason = _unavailable(task)
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
        test_split=task.has_test_split,
        arithmetic=Arithmetic(precision=task.precision, channels_last=task.channels_last, tf32=task.tf32),
        available=reason is None,
        reason=reason,
        packing=packing or Packing(),
    )


def _unavailable(task: type[Task]) -> str | None:
    """Return why a task cannot be trained here; one that raises where it should say so must not end a worker."""
    try:
        reason = task.available()
    except Exception as error:  # noqa: BLE001 -- a task's code may raise anything
        return f"available() raises {type(error).__name__}: {error}"
    if reason is not None and not isinstance(reason, str):
        return f"available() has to return None or the reason in words, not {reason!r}"
    return reason
