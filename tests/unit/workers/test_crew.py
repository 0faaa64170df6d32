"""One worker for each device: started, started again when it dies, ended with the crew or with its parent."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from search_spaces.log import bind
from workers.crew import Crew, command_for, devices_of, stop_with_parent
from workers.launchers import kept
from workers.timing import Stop

LIVES = """
import os, pathlib, signal, sys
place = pathlib.Path(sys.argv[1])
signal.signal(signal.SIGTERM, lambda *_: (place.with_suffix(".asked").touch(), sys.exit(0)))
with place.open("a") as file:
    file.write(f"{os.getpid()}\\n")
signal.pause()
"""


def lives(place: Path) -> list[str]:
    """A process that writes its id at `place` and lives until SIGTERM."""
    return [sys.executable, "-c", LIVES, str(place)]


def until(reached: Callable[[], bool]) -> None:
    """Wait for what another process does."""
    deadline = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)


def pids(place: Path) -> list[int]:
    """The processes that have lived there."""
    return [int(line) for line in place.read_text().split()] if place.exists() else []


@pytest.fixture
def stop() -> Iterator[Stop]:
    """What ends the crew, at the latest when the test is over."""
    stop = Stop(grace_seconds=30.0)
    yield stop
    stop.ask()


def working(commands: dict[str, list[str]], stop: Stop) -> threading.Thread:
    """A crew at work in a thread."""
    thread = threading.Thread(target=Crew(commands, stop, bind("test")).work)
    thread.start()
    return thread


def test_all_are_asked_to_stop_and_waited_for(tmp_path: Path, stop: Stop) -> None:
    """Asked to stop, the crew passes it on to every worker and ends when they have."""
    places = [tmp_path / "one", tmp_path / "two"]
    thread = working({place.name: lives(place) for place in places}, stop)
    until(lambda: all(pids(place) for place in places))

    stop.ask()
    thread.join(60)

    assert not thread.is_alive()
    assert all(place.with_suffix(".asked").exists() for place in places)


def test_a_worker_that_dies_is_started_again(tmp_path: Path, stop: Stop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed, it comes back, and the other is left alone."""
    monkeypatch.setattr(kept, "FIRST_PAUSE", 0.01)
    places = [tmp_path / "one", tmp_path / "two"]
    thread = working({place.name: lives(place) for place in places}, stop)
    until(lambda: all(pids(place) for place in places))

    os.kill(pids(places[0])[0], signal.SIGKILL)
    until(lambda: len(pids(places[0])) == 2)
    stop.ask()
    thread.join(60)

    assert len(pids(places[1])) == 1


def test_the_crew_ends_when_all_have_drained(stop: Stop) -> None:
    """Workers that end well are not started again."""
    commands = {name: [sys.executable, "-c", ""] for name in ("one", "two")}

    Crew(commands, stop, bind("test")).work()

    assert stop.asked


def test_a_worker_that_does_not_stop_is_killed(tmp_path: Path) -> None:
    """The grace period over, nothing of the crew is left."""
    stop, place = Stop(grace_seconds=0.2), tmp_path / "deaf"
    deaf = LIVES.replace('lambda *_: (place.with_suffix(".asked").touch(), sys.exit(0))', "signal.SIG_IGN")
    thread = working({"deaf": [sys.executable, "-c", deaf, str(place)]}, stop)
    until(lambda: bool(pids(place)))

    stop.ask()
    thread.join(60)

    assert not thread.is_alive()
    with pytest.raises(ProcessLookupError):
        os.kill(pids(place)[0], 0)


def test_a_worker_stops_with_its_parent() -> None:
    """When the parent's end of the pipe closes, however it ends, the worker is asked to stop."""
    asked = threading.Event()
    ours, theirs = os.pipe()
    stop_with_parent(asked.set, ours)

    os.close(theirs)

    assert asked.wait(60)
    os.close(ours)


@pytest.mark.parametrize(
    ("gpus", "text", "devices"),
    [
        (0, "all", ["cpu"]), (2, "all", ["cuda:0", "cuda:1"]), (2, "cuda:1", ["cuda:1"]), (2, "cpu", ["cpu"]),
        (2, "cuda:1, cuda:0", ["cuda:1", "cuda:0"]),
    ],
)  # fmt: skip
def test_what_the_flag_names(monkeypatch: pytest.MonkeyPatch, gpus: int, text: str, devices: list[str]) -> None:
    """All GPUs, or the CPU where there is none; else those named."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)

    assert devices_of(text) == devices


@pytest.mark.parametrize("text", ["cuda:2", "", "cuda:0,cuda:0", "tpu"])
def test_a_device_that_is_not_there(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """It is refused, and so is one that is named twice."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)

    with pytest.raises(ValueError, match="device"):
        devices_of(text)


def test_a_workers_command() -> None:
    """Each has a name and a device of its own, and the crew's other flags."""
    command = command_for("w1-cuda:0", "cuda:0", ["--pack", "auto"])

    assert command[1:] == ["-m", "workers", "--pack", "auto", "--name", "w1-cuda:0", "--devices", "cuda:0",
                           "--with-parent"]  # fmt: skip
