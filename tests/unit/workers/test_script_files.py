"""Script files as a worker reads them, and the scripts that it offers by them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from search_spaces.problems import InvalidSpec
from search_spaces.script_spec import ScriptSpec
from workers.scripts.files import read_script_file
from workers.scripts.measured import Measured, script_version
from workers.scripts.script import scripts_of

FIELDS = {"name": "train", "command": "python train.py", "metric": {"source": "stdout", "pattern": r"loss=(\S+)"}}
MEASURED = Measured(horizon_steps=300, largest_lr=0.1, own_lrs=[[0.1]], seeding="seeded")


def written(directory: Path, **fields: object) -> Path:
    file = directory / "script.yaml"
    file.write_text(yaml.safe_dump(FIELDS | fields))
    (directory / "train.py").write_text("print('loss=1')")
    return file


def test_a_directory_is_taken_from_the_file(tmp_path: Path) -> None:
    """A script file works from wherever the worker is started."""
    assert read_script_file(written(tmp_path)).directory == str(tmp_path)


@pytest.mark.parametrize(
    ("text", "field", "words"),
    [
        ("name: [", "script", "neither YAML nor JSON"),
        ("- train", "script", "holds no script"),
        (yaml.safe_dump(FIELDS | {"directory": "nowhere"}), "directory", "there is no directory"),
        (yaml.safe_dump(FIELDS | {"grace_seconds": -1}), "grace_seconds", "greater than or equal to 0"),
    ],
)
def test_a_wrong_file_is_refused_by_field(tmp_path: Path, text: str, field: str, words: str) -> None:
    """What cannot be read, or is wrong, is said by name."""
    (tmp_path / "script.yaml").write_text(text)

    with pytest.raises(InvalidSpec, match=words) as raised:
        read_script_file(tmp_path / "script.yaml")

    assert raised.value.field == field


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """Its name and the reason."""
    with pytest.raises(InvalidSpec, match=r"none\.yaml cannot be read: No such file"):
        read_script_file(tmp_path / "none.yaml")


def test_a_script_is_looked_at_once(tmp_path: Path) -> None:
    """What was measured of a version is remembered; a changed script is another version, other slots are not."""
    looks: list[ScriptSpec] = []

    def look(spec: ScriptSpec) -> Measured:
        looks.append(spec)
        return MEASURED

    file = written(tmp_path)
    first = scripts_of([file], tmp_path, [], look)["train"]
    scripts_of([written(tmp_path, slots=3)], tmp_path, [], look)
    (tmp_path / "train.py").write_text("print('loss=2')")
    changed = scripts_of([file], tmp_path, [], look)["train"]

    assert len(looks) == 2
    assert changed.version == script_version(changed.spec) != first.version
    offered = first.offer().script
    assert first.offer().horizon.steps == 300
    assert offered is not None
    assert (offered.initial_lr, offered.seeding) == (0.1, "seeded")


def test_two_tasks_of_one_name_are_refused(tmp_path: Path) -> None:
    """A script cannot take the name of another task that the worker offers."""
    with pytest.raises(InvalidSpec, match="two tasks are named train"):
        scripts_of([written(tmp_path)], tmp_path, ["train"], lambda _spec: MEASURED)


def test_inject_needs_an_optimizer_of_torch(tmp_path: Path) -> None:
    """A script in which none was seen is not offered in that mode."""
    with pytest.raises(InvalidSpec, match="no optimizer of torch was seen") as raised:
        scripts_of([written(tmp_path)], tmp_path, [], lambda _spec: Measured(horizon_steps=3))

    assert raised.value.field == "mode"


def test_a_worker_on_one_gpu_of_several_shows_no_other(tmp_path: Path) -> None:
    """The device of the worker is the only one that its scripts see, and no part of the version."""
    file = written(tmp_path)

    first, second = (
        scripts_of([file], tmp_path, [], lambda _spec: MEASURED, device)["train"] for device in ("cpu", "cuda:1")
    )

    assert "CUDA_VISIBLE_DEVICES" not in first.spec.environment
    assert second.spec.environment["CUDA_VISIBLE_DEVICES"] == "1"
    assert first.version == second.version
