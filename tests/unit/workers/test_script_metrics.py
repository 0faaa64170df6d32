"""A script's metric, wherever it writes it."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from search_spaces.script_spec import CsvMetric, EventsMetric, JsonLinesMetric, StdoutMetric
from workers.scripts.metrics import Reading, readings


def test_printed_metrics(tmp_path: Path) -> None:
    """Every match counts, several a line, with the step where the pattern names one; what is no number does not."""
    metric = StdoutMetric(pattern=r"step (?P<step>\d+) loss=(?P<value>\S+)")
    found = readings(metric, tmp_path, tmp_path, since=0.0)

    for line in ("step 3 loss=0.5, step 6 loss=nan", "nothing", "step 9 loss=none"):
        found.hear(line)
    first, second = found.take()

    assert first == Reading(0.5, step=3, text="step 3 loss=0.5,")
    assert (math.isnan(second.value), second.step) == (True, 6)
    assert (found.unreadable, found.take()) == (1, [])


def test_json_lines_that_grow(tmp_path: Path) -> None:
    """Only whole lines with the field are taken, each once, with where its line ends."""
    metric = JsonLinesMetric(source="jsonl", path="{trial_directory}/*.jsonl", field="loss", step_field="step")
    file = tmp_path / "trial" / "metrics.jsonl"
    file.parent.mkdir()
    found = readings(metric, tmp_path, file.parent, since=0.0)

    before = found.take()
    file.write_text('{"loss": 1.5, "step": 10}\n{"lr": 0.1}\n{"loss": 0.')
    first = found.take()
    with file.open("a") as more:
        more.write('5, "step": 20}\n')
    second = found.take()

    assert before == []
    assert first == [Reading(1.5, step=10, file=str(file), end=26)]
    assert second == [Reading(0.5, step=20, file=str(file), end=file.stat().st_size)]
    assert found.take() == []


def test_csv_that_is_written_anew(tmp_path: Path) -> None:
    """A file that a logger writes again as a whole gives its new rows only; empty cells are passed over."""
    metric = CsvMetric(source="csv", path="metrics.csv", field="val_loss", step_field="step")
    file = tmp_path / "metrics.csv"
    found = readings(metric, tmp_path, tmp_path, since=0.0)

    file.write_text("step,train_loss,val_loss\n9,0.7,\n10,,0.6\n")
    first = found.take()
    file.write_text("step,train_loss,val_loss\n9,0.7,\n10,,0.6\n19,0.5,\n20,,0.4\n")
    second = found.take()

    assert [(one.step, one.value) for one in first] == [(10, 0.6)]
    assert [(one.step, one.value) for one in second] == [(20, 0.4)]
    assert second[0].end == file.stat().st_size


def test_a_file_from_before_is_not_this_trials(tmp_path: Path) -> None:
    """What lay there before the trial began is left alone."""
    metric = JsonLinesMetric(source="jsonl", path="metrics.jsonl", field="loss")
    file = tmp_path / "metrics.jsonl"
    file.write_text(json.dumps({"loss": 1.0}) + "\n")

    found = readings(metric, tmp_path, tmp_path, since=file.stat().st_mtime + 1)

    assert found.take() == []


def test_event_files(tmp_path: Path) -> None:
    """Scalars of the tag come from TensorBoard's files as they grow, with their steps."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    def add(step: int, value: float) -> None:
        scalars = [Summary.Value(tag="val/loss", simple_value=value), Summary.Value(tag="lr", simple_value=0.1)]
        writer.add_event(Event(step=step, summary=Summary(value=scalars)))
        writer.flush()

    found = readings(EventsMetric(source="tensorboard", path="runs", field="val/loss"), tmp_path, tmp_path, since=0.0)
    before = found.take()
    writer = EventFileWriter(str(tmp_path / "runs" / "one"))
    add(10, 0.5)
    first = found.take()
    add(20, 0.25)
    second = found.take()
    writer.close()

    assert before == []
    assert first == [Reading(0.5, step=10)]
    assert second == [Reading(0.25, step=20)]


@pytest.mark.parametrize("cell", ["n/a", "--"])
def test_what_is_no_number_is_counted(tmp_path: Path, cell: str) -> None:
    """A cell that should hold the metric and does not is told apart from an empty one."""
    (tmp_path / "metrics.csv").write_text(f"loss\n{cell}\n\n0.5\n")

    found = readings(CsvMetric(source="csv", path="metrics.csv", field="loss"), tmp_path, tmp_path, since=0.0)

    assert [one.value for one in found.take()] == [0.5]
    assert found.unreadable == 1
