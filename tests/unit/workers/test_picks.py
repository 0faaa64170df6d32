"""What was measured is kept: for the same task on the same device only, and never trusted more than it deserves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.small_task import SmallTask
from workers.packing import measure
from workers.packing.layout import NotPackable
from workers.packing.measure import packed
from workers.packing.pack import Pack
from workers.packing.picks import Pick, Picks
from workers.solo import Solo

PICK = Pick(size=16, least=4, way="by hand", reason="2.0 times")


class Deeper(SmallTask):
    """Another version of the small task."""

    version = "2"


@pytest.fixture
def picks(tmp_path: Path) -> Picks:
    """Picks of a folder that is not there yet."""
    return Picks(tmp_path / "packing")


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tasks that were measured, each with the same outcome."""
    names: list[str] = []

    def picked(task: SmallTask, *_: Any) -> Pick:
        names.append(task.name)
        return PICK

    monkeypatch.setattr(measure, "_picked", picked)
    return names


def test_the_next_worker_does_not_measure(picks: Picks, measured: list[str]) -> None:
    """The second time the same engine is opened without a measurement, and the reason says so."""
    first, second = (packed(SmallTask(), picks=picks) for _ in range(2))

    engine = second.make()
    assert len(measured) == 1
    assert isinstance(engine, Pack)
    assert (engine.size, engine.way, engine._least) == (16, "by hand", 4)
    assert (first.packing.reason, second.packing.reason) == ("2.0 times", "2.0 times, measured before")


def test_one_by_one_is_remembered(picks: Picks, monkeypatch: pytest.MonkeyPatch) -> None:
    """What gains nothing is trained one by one the next time without so much as a look at whether it packs."""
    picks.keep(SmallTask(), None, PICK.model_copy(update={"size": 1, "least": 1}), compiles=False)
    monkeypatch.setattr(measure, "check_packing", lambda *_: pytest.fail("it was looked at"))

    assert isinstance(packed(SmallTask(), picks=picks).make(), Solo)


def test_a_pick_is_for_what_it_was_measured_for(picks: Picks, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another version, limit, compiler, number of threads or torch has none."""
    picks.keep(SmallTask(), None, PICK, compiles=False)

    assert picks.find(SmallTask(), None, compiles=False) == PICK
    assert picks.find(Deeper(), None, compiles=False) is None
    assert picks.find(SmallTask(), 8, compiles=False) is None
    assert picks.find(SmallTask(), None, compiles=True) is None
    with monkeypatch.context() as other:
        other.setattr(torch, "get_num_threads", lambda: 99)
        assert picks.find(SmallTask(), None, compiles=False) is None
    monkeypatch.setattr(torch, "__version__", "0")
    assert picks.find(SmallTask(), None, compiles=False) is None


@pytest.mark.parametrize("text", ["", "{}", '{"measured": {}, "pick": {"size": 0}}', "\x00"])
def test_what_cannot_be_read_is_measured_again(picks: Picks, measured: list[str], tmp_path: Path, text: str) -> None:
    """A file that is broken, or of another release, costs a measurement, which puts it right."""
    packed(SmallTask(), picks=picks)
    (file,) = (tmp_path / "packing").iterdir()
    file.write_text(text)

    packed(SmallTask(), picks=picks)

    assert len(measured) == 2
    assert picks.find(SmallTask(), None, compiles=False) == PICK


def test_a_folder_that_cannot_be_written(measured: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Trials are packed as measured, the log says that it is not kept, and the next worker measures again."""
    (tmp_path / "file").write_text("in the way")
    picks = Picks(tmp_path / "file" / "packing")

    openings = [packed(SmallTask(), picks=picks) for _ in range(2)]

    assert [opening.packing.size for opening in openings] == [16, 16]
    assert len(measured) == 2
    assert "cannot be kept" in caplog.text


def test_packs_that_are_not_right_any_more(picks: Picks, measured: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether packing is right is looked at anew: what was fast and is wrong now is trained one by one."""
    picks.keep(SmallTask(), None, PICK, compiles=False)

    def wrong(*_: Any) -> None:
        raise NotPackable("the gradient differs")

    monkeypatch.setattr(measure, "check_packing", wrong)
    opening = packed(SmallTask(), picks=picks)

    assert isinstance(opening.make(), Solo)
    assert "the gradient differs" in str(opening.packing.reason)
    assert measured == []


def test_packs_that_do_not_fit_any_more(picks: Picks, measured: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """With less free memory than the remembered size takes, it is measured again."""
    picks.keep(SmallTask(), None, PICK, compiles=False)
    monkeypatch.setattr(measure, "_fitting", lambda _: 15)

    packed(SmallTask(), picks=picks)

    assert len(measured) == 1
