"""What runs inside a script, part by part, without torch."""

from __future__ import annotations

import ast
import io
import itertools
import json
import sys
import threading
from pathlib import Path

import pytest

import etude
from etude.script.growth import Growth
from etude.script.streams import Lines
from etude.script.trial import Trial

PACKAGE = Path(etude.__file__).parent
FILES = [*sorted((PACKAGE / "script").glob("*.py")), PACKAGE / "inside" / "sitecustomize.py"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_it_runs_in_environments_older_than_ours(file: Path) -> None:
    """Its syntax is that of Python 3.8, and it imports nothing but the standard library and its own package."""
    tree = ast.parse(file.read_text(), feature_version=(3, 8))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import)]
    froms = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]

    names = [alias.name for node in imports for alias in node.names]
    names += [node.module or "" for node in froms if not node.level]

    assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names
    assert any(isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in tree.body) or not names


def test_a_trial_that_cannot_be_read_ends_the_script(tmp_path: Path) -> None:
    """Training on would give a candidate the value of another LR."""
    later = tmp_path / "later.json"
    later.write_text(json.dumps({"schema_version": 2}))

    for path in (tmp_path / "none.json", later):
        with pytest.raises(RuntimeError, match=r"the trial in \$ETUDE_TRIAL cannot be read"):
            Trial(str(path))


def test_files_are_found_as_they_appear(tmp_path: Path) -> None:
    """In a directory that was not there, in one that has a new one, and under a plain name; each growth is noted."""
    noted: list[tuple[str, int, int]] = []
    patterns = [str(tmp_path / "logs" / "*" / "events.*"), str(tmp_path / "plain.csv")]
    growth = Growth(patterns, lambda path, size, updates: noted.append((Path(path).name, size, updates)))

    growth.look(0)
    (tmp_path / "plain.csv").write_text("1\n")
    growth.look(1)
    events = tmp_path / "logs" / "version_0"
    events.mkdir(parents=True)
    growth.look(2)
    (events / "events.a").write_text("12345")
    growth.look(3)
    growth.look(4)
    (events / "events.a").write_text("123456789")
    (tmp_path / "plain.csv").write_text("")
    growth.look(5)

    assert noted[:2] == [("plain.csv", 2, 1), ("events.a", 5, 3)]
    assert sorted(noted[2:]) == [("events.a", 9, 5), ("plain.csv", 0, 5)]


def test_looks_that_are_dear_are_taken_less_often(tmp_path: Path) -> None:
    """On a file system that takes 1 ms to answer, a look is followed by 100 ms without; the last is always taken."""
    seconds, noted = iter(range(100_000)), list[tuple[int, int]]()
    clock = lambda: next(seconds) / 1000  # noqa: E731 - every question takes a millisecond
    growth = Growth([str(tmp_path / "log.csv")], lambda _, size, updates: noted.append((size, updates)), clock)

    with (tmp_path / "log.csv").open("wb", buffering=0) as log:
        for update in range(500):
            growth.look(update)
            log.write(b".")
    growth.look(500, last=True)

    gaps = {later - earlier for (_, earlier), (_, later) in itertools.pairwise(noted[8:-1])}
    assert all(size == updates for size, updates in noted[:-1])
    assert gaps <= {100, 101, 102}
    assert noted[-1] == (500, 500)


def test_metrics_before_the_start_are_those_of_no_update(tmp_path: Path) -> None:
    """A log that a former training has left is noted at 0 updates."""
    (tmp_path / "log.csv").write_text("old\n")
    noted: list[tuple[int, int]] = []

    growth = Growth([str(tmp_path / "log.csv")], lambda _, size, updates: noted.append((size, updates)))
    growth.look(0)

    assert noted == [(4, 0)]


class Written:
    """A stream that leads out of the process as far as anybody can tell."""

    def __init__(self) -> None:
        self.text = ""

    def fileno(self) -> int:
        """Say that it is stdout."""
        return 1

    def write(self, text: str) -> int:
        """Keep the text."""
        self.text += text
        return len(text)


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> tuple[Written, list[tuple[str, int]], Lines]:
    """A stdout whose metrics are noted; the updates made are as many as are noted already."""
    stream, found = Written(), list[tuple[str, int]]()
    monkeypatch.setattr(sys, "stdout", stream)
    lines = Lines(
        [r"loss=(\d+)", r"acc=(\d+)"], lambda text, updates: found.append((text, updates)), lambda: len(found)
    )
    lines.watch()
    return stream, found, lines


def test_a_line_counts_when_its_last_characters_are_written(
    noted: tuple[Written, list[tuple[str, int]], Lines],
) -> None:
    """What ends it, a carriage return or the end of the process, may come later; the text is let through as it is."""
    stream, found, lines = noted

    returned = stream.write("loss=1 acc=2\nlo")
    stream.write("ss=3")
    stream.write("\rloss=4")
    lines.end()

    assert found == [("loss=1", 0), ("acc=2", 0), ("loss=3", 2), ("loss=4", 3)]
    assert (returned, stream.text) == (15, "loss=1 acc=2\nloss=3\rloss=4")


def test_a_stream_put_back_is_noted_once(
    noted: tuple[Written, list[tuple[str, int]], Lines], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scripts swap stdout for a while; what they swap in and does not lead out is no place for metrics."""
    stream, found, lines = noted

    monkeypatch.setattr(sys, "stdout", io.StringIO())
    lines.watch()
    monkeypatch.setattr(sys, "stdout", stream)
    lines.watch()
    threads = [threading.Thread(target=stream.write, args=(f"loss={i}\n",)) for i in range(2)]
    for thread in threads:
        thread.start()
        thread.join()

    assert [text for text, _ in found] == ["loss=0", "loss=1"]


def test_a_line_without_an_end_is_cut(noted: tuple[Written, list[tuple[str, int]], Lines]) -> None:
    """A script that prints dots for days costs no memory, and its metric at the end is seen."""
    stream, found, _ = noted

    for _ in range(3):
        stream.write("." * 50_000)
    stream.write("loss=5\n")

    assert found == [("loss=5", 0)]
