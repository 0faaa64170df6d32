"""Tasks found by module and class, or by the entry points of installed packages, and what is said of wrong ones."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from etude.own_tasks import WrongTask, installed_tasks, load_task

WHOLE = """
from collections.abc import Callable
from pydantic import BaseModel
from etude.task import Task

class Wells(Task):
    name = "own-wells"
    metric = "loss"
    epochs, steps_per_epoch, batch_size = 2, 5, 4
    def model(self, seed): ...
    def batch(self, step, seed): ...
    def loss(self, model, batch): ...
    def evaluate(self, model, split): ...

class Half(Task):
    name = "half"
    def model(self, seed): ...

class Never(Wells):
    epochs = 0
    direction = "down"

class Spaced(Wells):
    name = "own wells"

class Taken(Wells):
    name = "external"

class Letters(Wells):
    further_metrics = "error"

class NoSchema(Wells):
    class Params(BaseModel):
        pump: Callable[[], None]

number = 3
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory on Python's path; what is imported from it is forgotten."""
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in ("my_wells", "my_needs", "my_broken"):
        sys.modules.pop(name, None)


def test_a_class_is_found_by_module_and_name(path: Path) -> None:
    """As a worker's --task names it."""
    (path / "my_wells.py").write_text(WHOLE)

    assert load_task("my_wells:Wells").name == "own-wells"


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("wells", "package.module:Class is meant"),
        ("my_wells:", "package.module:Class is meant"),
        ("no_such_module:Wells", "there is no module no_such_module on Python's path"),
        ("my_wells:Absent", "there is nothing of that name"),
        ("my_wells:number", "no subclass of etude.task.Task: it is 3"),
        (
            "my_wells:Half",
            r"metric is not set.*epochs is not set.*batch\(\) is not written.*metrics\(\) is not written",
        ),
        ("my_wells:Never", r"direction is 'down': input should be .*; epochs is 0: input should be greater than"),
        ("my_wells:Spaced", "name is 'own wells': neither spaces nor commas are in a name"),
        ("my_wells:Taken", "external is taken"),
        ("my_wells:Letters", "further_metrics is 'error': input should be a valid tuple"),
        ("my_wells:NoSchema", "Params has no JSON Schema"),
        ("my_needs:Wells", "it needs no_such_library, which is not installed"),
        ("my_broken:Wells", "fails with ZeroDivisionError: division by zero"),
    ],
)
def test_what_is_wrong_is_said_in_words(path: Path, reference: str, words: str) -> None:
    """A person reads one sentence instead of a traceback."""
    (path / "my_wells.py").write_text(WHOLE)
    (path / "my_needs.py").write_text("import no_such_library")
    (path / "my_broken.py").write_text("1 / 0")

    with pytest.raises(WrongTask, match=words):
        load_task(reference)


def test_installed_packages_offer_theirs_and_a_broken_one_harms_nobody(path: Path) -> None:
    """By the entry points of the group etude.tasks; what cannot be used is said."""
    (path / "my_wells.py").write_text(WHOLE)
    metadata = path / "my_package-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[etude.tasks]\nwells = my_wells:Wells\ngone = my_wells:Gone\n")
    said: list[str] = []

    found = [task.name for task in installed_tasks(said.append)]

    assert found == ["own-wells"]
    assert len(said) == 1
    assert "my_wells:Gone" in said[0]
