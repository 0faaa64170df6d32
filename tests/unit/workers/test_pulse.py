"""The pulse by which a probe sees that a worker's loop goes round."""

from __future__ import annotations

import os
from pathlib import Path

from store import Store
from store.verbs import SqlVerbs
from tests.small_task import fresh
from tests.wire import Wire, propose, work
from workers.pulse import pulse_of


def test_a_beat_comes_once_a_second(tmp_path: Path) -> None:
    """However short the steps are between which it is called."""
    now = [0.0]
    file = tmp_path / "pulse"
    beat = pulse_of(file, lambda: now[0])

    ages = []
    for now[0] in (0.0, 0.5, 0.999, 1.0):
        beat()
        ages.append(file.stat().st_mtime > 0)
        os.utime(file, (0, 0))

    assert ages == [True, False, False, True]


def test_a_beat_that_cannot_be_written_ends_nothing(tmp_path: Path) -> None:
    """The probe sees no young file; the worker trains on."""
    pulse_of(tmp_path / "no" / "such" / "directory")()

    assert list(tmp_path.iterdir()) == []


def test_every_step_beats(store: Store) -> None:
    """A trial without rungs is one turn of the loop, and may take hours: its steps tell that it goes on."""
    propose(store)
    beats: list[int] = []
    task = fresh()

    work(Wire(SqlVerbs(store)), task, pulse=lambda: beats.append(1))

    assert len(beats) > task.epochs * task.steps_per_epoch
