"""The pulse by which a probe sees that a coordinator and a clock go on."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from service.clock import Clock
from service.coordinator import Coordinator
from service.pulse import pulse_of
from store import Store
from store.engine import make_engine


class Rounds(threading.Event):
    """Is set after so many waits, which take no time."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.left = count

    def wait(self, timeout: float | None = None) -> bool:
        self.left -= 1
        if self.left <= 0:
            self.set()
        return self.is_set()


def test_a_beat_sets_the_file_s_time(tmp_path: Path) -> None:
    """The file is made by the first; a later one makes it young again."""
    file = tmp_path / "pulse"

    pulse_of(file)()
    os.utime(file, (0, 0))
    pulse_of(file)()

    assert file.stat().st_mtime > 1e9


def test_a_beat_that_cannot_be_written_ends_nothing(tmp_path: Path) -> None:
    """The probe sees no young file; the part works on."""
    pulse_of(tmp_path / "no" / "such" / "directory")()

    assert list(tmp_path.iterdir()) == []


def test_rounds_beat_while_the_store_is_away() -> None:
    """An outage of the store is no reason to start a coordinator or a clock again."""
    url = "postgresql+psycopg://nobody@127.0.0.1:1/nowhere"
    store = Store(make_engine(url), url)
    beats: list[str] = []

    Coordinator(store, "one", pulse=lambda: beats.append("coordinator")).work(Rounds(3))
    Clock(store, lambda _: 0.0, pulse=lambda: beats.append("clock")).work(Rounds(4))
    store.close()

    assert beats == ["coordinator"] * 3 + ["clock"] * 3
