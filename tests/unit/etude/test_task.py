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

from etude.task import Module, Split, Task, metric_name, offer, task_version
from search_spaces.model import Model
from search_spaces.problems import InvalidSpec
from search_spaces.work import OfferedHorizon, Packing


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
