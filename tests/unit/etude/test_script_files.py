"""A script's trial as files: what is refused, what the JSON and the environment say, and what a record answers."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from etude.script.record import Writer
from etude.script_files import INSIDE_DIRECTORY, Record, ScriptTrial, environment, write_trial

CANDIDATE = {"optimizer": {"kind": "script"}, "initial_lr": 0.1, "schedule": {"kind": "constant"}}


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("mode", {"mode": "edit"}),
        ("candidate", {"mode": "inject", "scale": 1.0}),
        ("candidate", {"mode": "count", "candidate": CANDIDATE}),
        ("scale", {"mode": "file", "candidate": CANDIDATE, "scale": 1.0}),
        ("scale", {"mode": "inject", "candidate": CANDIDATE, "scale": 0.0}),
        ("scale", {"mode": "inject", "candidate": CANDIDATE, "scale": 1.0, "lr": [0.1], "horizon_steps": 1}),
        ("lr", {"mode": "inject", "candidate": CANDIDATE}),
        ("lr", {"mode": "count", "lr": [0.1], "horizon_steps": 1}),
        ("lr", {"mode": "inject", "candidate": CANDIDATE, "lr": [0.1, 0.2], "horizon_steps": 3}),
        ("lr", {"mode": "inject", "candidate": CANDIDATE, "lr": [0.1, float("nan")], "horizon_steps": 2}),
        ("lr", {"mode": "inject", "candidate": CANDIDATE, "lr": [0.1, -0.2], "horizon_steps": 2}),
        ("own_lrs", {"mode": "count", "own_lrs": [[0.0]]}),
        ("own_lrs", {"mode": "count", "own_lrs": [[0.1, float("inf")]]}),
        ("patterns", {"mode": "count", "patterns": ["("]}),
    ],
)
def test_a_wrong_trial_is_refused_by_field(field: str, wrong: dict[str, Any]) -> None:
    """The message begins with the field that is wrong."""
    with pytest.raises(ValueError, match=f"^{field}: "):
        ScriptTrial(**wrong)


def test_a_trial_to_inject_has_its_lrs_in_a_raw_file(tmp_path: Path) -> None:
    """A horizon of 100,000 steps keeps the JSON small, and every LR is bit for bit there."""
    lr = np.linspace(0.1, 0.0, 100_000)
    trial = ScriptTrial(mode="inject", candidate=CANDIDATE, lr=lr, horizon_steps=100_000, seed=7, own_lrs=[[1, 0.5]])

    path = write_trial(tmp_path, trial)

    said = json.loads(path.read_text())
    assert path.stat().st_size < 1000
    assert (said["schema_version"], said["mode"], said["seed"], said["initial_lr"]) == (1, "inject", 7, 0.1)
    assert said["own_lrs"] == [[1.0, 0.5]]
    assert "lr" not in said
    assert np.array_equal(np.fromfile(said["lr_file"]), lr)


def test_a_trial_by_file_has_its_lrs_in_the_json(tmp_path: Path) -> None:
    """A script in any language reads them from one file."""
    path = write_trial(tmp_path, ScriptTrial(mode="file", candidate=CANDIDATE, lr=[0.1, 0.05], horizon_steps=2))

    said = json.loads(path.read_text())

    assert said["lr"] == [0.1, 0.05]
    assert said["candidate"] == CANDIDATE
    assert "lr_file" not in said


def test_the_environment_puts_us_first_and_keeps_the_rest() -> None:
    """PYTHONPATH of the user follows ours, and an empty one does not become the working directory."""
    trial = Path("/trial.json")

    with_path = environment({"PYTHONPATH": "/theirs", "HOME": "/home"}, trial)
    with_empty = environment({"PYTHONPATH": ""}, trial)
    outside = environment({"HOME": "/home"}, trial, inside=False)

    assert with_path == {
        "PYTHONPATH": f"{INSIDE_DIRECTORY}{os.pathsep}/theirs",
        "HOME": "/home",
        "ETUDE_TRIAL": str(trial),
    }
    assert with_empty["PYTHONPATH"] == str(INSIDE_DIRECTORY)
    assert outside == {"HOME": "/home", "ETUDE_TRIAL": str(trial)}
    assert [file.name for file in INSIDE_DIRECTORY.glob("*.py")] == ["sitecustomize.py"]


def test_a_record_is_read_while_it_is_written(tmp_path: Path) -> None:
    """Updates, rows, lines and sizes are as of the moment of asking, from one process and then from the next."""
    path = write_trial(tmp_path, ScriptTrial(mode="count"))
    log = tmp_path / "log.csv"
    with Record(path) as record:
        before = (record.updates, record.largest_lr, record.line_step("loss=1"), record.processes())
        writer = started(tmp_path)
        writer.event("line", text="loss=1", updates=0)
        writer.row(0, 0.5, 0.25, 0.0, 0)
        during = (record.updates, record.line_step("loss=1"), record.line_step("loss=1"))
        writer.event("file", path=str(log), size=30, updates=1)
        writer.event("file", path=str(log), size=50, updates=4)
        sizes = [record.file_step(log, offset) for offset in (10, 30, 31, 51)]
        later = started(tmp_path)
        later.row(0, 0.25, 0.5, 0.0, 0)
        curves = record.curves()
        updates, misfits = record.updates, record.misfits()

    assert before == (0, 0.0, None, ())
    assert during == (1, 0, None)
    assert sizes == [1, 1, 4, None]
    assert (updates, curves.own.tolist(), curves.in_force.tolist()) == (2, [0.5, 0.25], [0.25, 0.5])
    assert misfits == ("2 processes trained one after the other; the curve went on from one to the next.",)


def test_a_long_training_is_recorded_whole(tmp_path: Path) -> None:
    """Every one of 20,000 updates has its row, across the windows in which the file is written."""
    path = write_trial(tmp_path, ScriptTrial(mode="count"))
    writer = started(tmp_path)
    for update in range(20_000):
        writer.row(update, 0.5 / (update + 1), 0.5 / (update + 1), 0.25 * update, 0)

    with Record(path) as record:
        curves, (process,) = record.curves(), record.processes()

    np.testing.assert_array_equal(curves.own, 0.5 / np.arange(1, 20_001))
    np.testing.assert_array_equal(curves.seconds, 0.25 * np.arange(20_000))
    assert (process.updates, process.seconds_per_step) == (20_000, 0.25)


def test_rows_that_have_no_room_are_counted(tmp_path: Path) -> None:
    """The updates are counted all the same, and the curve is unknown there."""
    path = write_trial(tmp_path, ScriptTrial(mode="count"))
    writer = started(tmp_path)
    next((tmp_path / "record").glob("*.jsonl")).with_suffix(".lr").mkdir()  # no file can be made there
    for update in range(3):
        writer.row(update, 0.5, 0.5, 0.0, 0)

    with Record(path) as record:
        updates, misfits = record.updates, record.misfits()

    assert updates == 3
    assert misfits == ("Entries of the record that could not be written: 3.",)


def test_an_event_cut_short_does_not_hide_the_next(tmp_path: Path) -> None:
    """A process that is killed as it writes, or a disk that is full, costs one event."""
    path = write_trial(tmp_path, ScriptTrial(mode="count"))
    writer = Writer(str(tmp_path / "record"))
    writer.event("line", text="loss=1", updates=1)
    file = next((tmp_path / "record").glob("*.jsonl"))
    with file.open("a") as events:
        events.write('{"event": "li')

    with Record(path) as record:
        whole = record.line_step("loss=1")
        with file.open("a") as events:
            events.write('{"event": "line"}\n')
        writer.event("line", text="loss=2", updates=2)
        after = record.line_step("loss=2")

    assert (whole, after) == (1, 2)


def started(tmp_path: Path) -> Writer:
    """A process that has begun to train, as far as its record goes."""
    writer = Writer(str(tmp_path / "record"))
    writer.event("process", pid=1, time=0.0, arguments=[], torch="2", python="3")
    writer.begin(0, 1)
    group = {"initial_lr": 0.5, "ratio": 1.0}
    writer.event("groups", optimizer=0, slot=0, groups=[group], resumed_step=0, kind="SGD")
    writer.largest(0, 0.5)
    return writer
