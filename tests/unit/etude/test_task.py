"""The Task API: what a worker offers of a task, and that it needs no torch."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field

from etude.task import LoadedTask, Module, Split, Task, judged_by_examples, metric_name, offer, task_version
from search_spaces.model import Model
from search_spaces.problems import InvalidSpec
from search_spaces.work import Arithmetic, OfferedHorizon, Packing


class WellsParams(Model):
    """What a study may set."""

    depth: int = Field(default=3, ge=1)


class Wells(Task):
    """A task whose numbers are in plain sight."""

    name = "wells"
    version = "7"
    Params = WellsParams
    metric = "error"
    direction = "maximize"
    further_metrics = ("hits",)
    epochs = 5
    steps_per_epoch = 11
    batch_size = 4
    parameter_groups = ("backbone", "head")
    sparse_gradients = True

    def model(self, seed: int) -> Module:
        raise NotImplementedError

    def batch(self, step: int, seed: int) -> Any:
        raise NotImplementedError

    def loss(self, model: Module, batch: Any) -> Any:
        raise NotImplementedError

    def evaluate(self, model: Module, split: Split) -> dict[str, float]:
        raise NotImplementedError


def test_an_offer_says_what_the_service_must_know() -> None:
    """Metric, direction, horizon, groups and parameters are announced as studies name them."""
    offered = offer(Wells, Packing(size=8))

    assert (offered.name, offered.version) == ("wells", "7")
    assert (offered.metric, offered.direction) == ("validation_error", "maximize")
    assert offered.further_metrics == ["validation_hits"]
    assert offered.horizon == OfferedHorizon(epochs=5, steps_per_epoch=11)
    assert offered.parameter_groups == ["backbone", "head"]
    assert offered.sparse_gradients
    assert offered.params_schema["properties"]["depth"]["minimum"] == 1
    assert offered.packing.size == 8
    assert offered.available
    assert offered.reason is None


def test_a_task_without_its_data_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `available` returns is the reason in the offer."""
    monkeypatch.setattr(Wells, "available", classmethod(lambda cls: "no wells here"))

    offered = offer(Wells)

    assert (offered.available, offered.reason) == (False, "no wells here")


def test_params_are_checked() -> None:
    """Defaults fill in; a wrong value names its field as a study's spec does."""
    assert Wells().params == WellsParams(depth=3)
    assert Wells({"depth": 9}).params == WellsParams(depth=9)

    with pytest.raises(InvalidSpec) as caught:
        Wells({"depth": 0})

    assert caught.value.field == "task.params.depth"


def test_a_split_names_its_metrics() -> None:
    """validation_loss is what decides, test_loss what the answer shows."""
    assert metric_name("loss") == "validation_loss"
    assert metric_name("loss", "test") == "test_loss"


SOURCE = """
from tests_wells import Wells
class Deep(Wells):
    name = "deep"
    version = None
    epochs = {epochs}
"""


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], type[Task]]:
    """Write a task's source file and load its class."""
    monkeypatch.setitem(sys.modules, "tests_wells", sys.modules[__name__])

    def write(epochs: int) -> type[Task]:
        file = tmp_path / f"deep_{epochs}" / "deep.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(SOURCE.format(epochs=epochs))
        name = f"deep_{epochs}"
        spec = importlib.util.spec_from_file_location(name, file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        deep: type[Task] = module.Deep
        return deep

    return write


def test_an_undeclared_version_follows_the_source(written: Callable[[int], type[Task]]) -> None:
    """Without a declared version the same source gives the same version, another source another one."""
    first, again, other = written(3), written(3), written(4)

    assert task_version(first) == task_version(again)
    assert task_version(first) != task_version(other)


def test_a_task_needs_no_torch() -> None:
    """Importing the Task API loads neither torch nor a database nor a web framework."""
    heavy = "{'torch', 'sqlalchemy', 'fastapi', 'optuna'}"
    program = f"import sys, etude.task, etude.work; print(sorted({heavy} & set(sys.modules)))"

    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert shown.stdout.strip() == "[]"


class Weighed(Wells):
    """A task judged by two batches of unequal size."""

    def examples(self, split: Split) -> Any:
        return [(b"abc", None), (b"a", None)]

    def metrics(self, model: Module, batch: Any) -> dict[str, Any]:
        import torch

        return {"error": torch.tensor(1.0 if len(batch[0]) == 3 else 3.0)}

    evaluate = Task.evaluate


def test_a_split_is_judged_by_the_mean_over_its_examples() -> None:
    """Each batch counts with its number of examples."""
    assert Weighed().evaluate(None, "validation") == {"error": 1.5}
    assert judged_by_examples(Weighed)
    assert not judged_by_examples(Wells)


class Mute(Task):
    """A task that says nothing of what judges it."""

    name = "mute"
    metric = "loss"
    epochs = steps_per_epoch = batch_size = 1

    def model(self, seed: int) -> Module: ...

    def batch(self, step: int, seed: int) -> Any: ...

    def loss(self, model: Module, batch: Any) -> Any: ...


def test_a_task_that_cannot_be_judged_says_what_it_lacks() -> None:
    """`examples` and `metrics`, or `evaluate`: the message names them."""
    with pytest.raises(NotImplementedError, match="Mute has to give `examples` and `metrics`, or `evaluate`"):
        Mute().evaluate(None, "validation")
    with pytest.raises(NotImplementedError, match="Mute has to give `examples` and `metrics`, or `evaluate`"):
        Mute().metrics(None, None)


def test_what_a_task_computes_in_is_offered() -> None:
    """Precision and layout are the task's declaration; by default plain float32."""

    class Fast(Wells):
        precision = "bf16"
        channels_last = True
        tf32 = True

    assert offer(Fast).arithmetic == Arithmetic(precision="bf16", channels_last=True, tf32=True)
    assert offer(Wells).arithmetic == Arithmetic(precision="float32", channels_last=False, tf32=False)


class Counting(LoadedTask):
    """Batches that say where they are from; notes how often an epoch was begun."""

    name = "counting"
    metric = "loss"
    epochs = 3
    steps_per_epoch = 4
    batch_size = 1

    def __init__(self) -> None:
        super().__init__()
        self.begun: list[tuple[str, int, int]] = []
        self.batches = 4

    def model(self, seed: int) -> Module: ...

    def loss(self, model: Module, batch: Any) -> Any: ...

    def loader(self, split: Split, seed: int, epoch: int) -> Any:
        self.begun.append((split, seed, epoch))
        return ((seed, epoch, place) for place in range(self.batches))


def test_a_loader_is_walked_in_order() -> None:
    """Updates in order begin each epoch once; a batch asked for again is the one at hand."""
    task = Counting()

    batches = [task.batch(step, seed=7) for step in (0, 1, 1, 2, 3, 4, 5)]

    assert batches == [(7, 0, 0), (7, 0, 1), (7, 0, 1), (7, 0, 2), (7, 0, 3), (7, 1, 0), (7, 1, 1)]
    assert task.begun == [("train", 7, 0), ("train", 7, 1)]


def test_a_loader_is_walked_up_to_the_step_of_a_resume() -> None:
    """A step in the middle of an epoch, or one that lies behind, begins its epoch again."""
    task = Counting()

    batches = [task.batch(6, seed=7), task.batch(7, seed=7), task.batch(5, seed=7), task.batch(5, seed=8)]

    assert batches == [(7, 1, 2), (7, 1, 3), (7, 1, 1), (8, 1, 1)]
    assert task.begun == [("train", 7, 1), ("train", 7, 1), ("train", 8, 1)]


def test_a_loader_that_ends_too_soon_is_an_error() -> None:
    """An epoch with fewer batches than the task declares is no epoch; the next trial finds the same."""
    task = Counting()
    task.batches = 3

    for _ in range(2):
        with pytest.raises(ValueError, match="the loader of epoch 1 ended before batch 3 of 4"):
            task.batch(7, seed=0)


def test_closing_lets_go_of_the_epoch_under_way() -> None:
    """What a loader has open is closed at once, not when garbage is collected; it may be done again."""
    task, open_loaders = Counting(), [0]

    def batches() -> Any:
        open_loaders[0] += 1
        try:
            yield from range(4)
        finally:
            open_loaders[0] -= 1

    task.loader = lambda split, seed, epoch: batches()  # type: ignore[method-assign]
    assert task.batch(1, seed=0) == 1
    assert open_loaders == [1]

    task.close()
    task.close()

    assert open_loaders == [0]
    assert task.batch(1, seed=0) == 1
    task.close()


def test_a_task_that_holds_nothing_open_need_not_say_so() -> None:
    """`close` is optional: the one that every task has changes nothing."""
    task = Wells({"depth": 4})
    before = dict(vars(task))

    task.close()

    assert "close" not in vars(Wells)
    assert vars(task) == before


def test_a_loaded_task_asks_for_a_cohort() -> None:
    """Its packed trials enter together, and what judges a split comes from the loader in a fixed order."""
    assert LoadedTask.cohort
    assert not Wells.cohort
    assert list(Counting().examples("validation")) == [(0, 0, 0), (0, 0, 1), (0, 0, 2), (0, 0, 3)]
