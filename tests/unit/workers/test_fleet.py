"""A fleet: as many workers as the backlog asks for, started again when they die, never stopped at work."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from search_spaces.log import bind
from search_spaces.problems import InvalidSpec, StoreUnavailable
from tests.machine import until
from workers import fleet as fleet_module
from workers.fleet import Fleet, Size
from workers.launchers import kept
from workers.launchers.launcher import GONE
from workers.launchers.local import LocalLauncher
from workers.timing import Stop


@dataclass
class Placed:
    """A worker that ends when the test says so, or when it is asked to."""

    name: str
    flags: Sequence[str]
    how: int | None = None
    asked: bool = False

    def status(self) -> int | None:
        return self.how

    def ask(self) -> None:
        self.asked, self.how = True, 0

    def kill(self) -> None:
        self.how = GONE


@dataclass
class Cluster:
    """A launcher that has room for all."""

    placed: list[Placed] = field(default_factory=list)
    closed: bool = False

    def start(self, name: str, flags: Sequence[str]) -> Placed:
        self.placed.append(Placed(name, flags))
        return self.placed[-1]

    def close(self) -> None:
        self.closed = True

    @property
    def living(self) -> list[str]:
        return sorted(one.name for one in self.placed if one.how is None)


class Backlog:
    """A number that the test sets, or a store that is away."""

    def __init__(self, trials: int) -> None:
        self.trials: int | None = trials
        self.looks = 0

    def __call__(self) -> int:
        self.looks += 1
        if self.trials is None:
            raise StoreUnavailable("away")
        return self.trials

    def looked_at(self) -> None:
        """Wait until the fleet has acted on the backlog as it is now."""
        seen = self.looks
        until(lambda: self.looks >= seen + 2)


class Going:
    """A fleet at work in a thread, whose clock the test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, size: Size, trials: int, drain: float | None = None) -> None:
        monkeypatch.setattr(kept, "FIRST_PAUSE", 0.01)
        monkeypatch.setattr(fleet_module, "LOOK_SECONDS", 0.005)
        self.cluster, self.backlog, self.now = Cluster(), Backlog(trials), 0.0
        self.stop = Stop(30.0)
        made = Fleet(
            "f", self.cluster, size, self.backlog, self.stop, bind("test"), drain=drain, scale_seconds=0.0,
            clock=lambda: self.now,
        )  # fmt: skip
        self.thread = threading.Thread(target=made.work)

    def __enter__(self) -> Going:
        self.thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop.ask()
        self.thread.join(30)


def test_workers_come_with_the_backlog(monkeypatch: pytest.MonkeyPatch) -> None:
    """One for each trial up to the most; those beyond the least are told to end when they are idle."""
    with Going(monkeypatch, Size(1, 3, idle_seconds=7.0), trials=0) as going:
        until(lambda: going.cluster.living == ["f-0"])
        going.backlog.trials = 100
        until(lambda: going.cluster.living == ["f-0", "f-1", "f-2"])
        going.backlog.looked_at()

        assert len(going.cluster.placed) == 3
        assert [list(one.flags) for one in going.cluster.placed] == [[], ["--drain", "7.0"], ["--drain", "7.0"]]


def test_nobody_is_stopped_because_the_backlog_shrinks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a surplus worker holds it finishes; it goes by itself, and its place then rests."""
    with Going(monkeypatch, Size(0, 2, idle_seconds=7.0), trials=2) as going:
        until(lambda: len(going.cluster.living) == 2)
        going.backlog.trials = 1
        going.backlog.looked_at()
        asked = [one.asked for one in going.cluster.placed]
        going.cluster.placed[0].how = 0
        going.backlog.trials = 2
        going.backlog.looked_at()
        resting = going.cluster.living
        going.now = 8.0
        until(lambda: len(going.cluster.living) == 2)

    assert asked == [False, False]
    assert resting == ["f-1"]


def test_a_worker_that_has_gone_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether its process died or its node: under its own name, and only it."""
    with Going(monkeypatch, Size(0, 2), trials=2) as going:
        until(lambda: len(going.cluster.living) == 2)
        going.cluster.placed[0].how = GONE
        until(lambda: len(going.cluster.placed) == 3)

        assert [one.name for one in going.cluster.placed] == ["f-0", "f-1", "f-0"]


def test_a_store_that_is_away_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """No worker comes or goes for lack of an answer."""
    with Going(monkeypatch, Size(0, 4), trials=2) as going:
        until(lambda: len(going.cluster.living) == 2)
        going.backlog.trials = None
        going.backlog.looked_at()

        assert going.cluster.living == ["f-0", "f-1"]
        assert not any(one.asked for one in going.cluster.placed)


def test_a_fleet_that_is_stopped_asks_every_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each gives back what it holds before the launcher lets go."""
    with Going(monkeypatch, Size(0, 2), trials=2) as going:
        until(lambda: len(going.cluster.living) == 2)

    assert all(one.asked for one in going.cluster.placed)
    assert going.cluster.closed


def test_a_fleet_drains(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends by itself once there has been nothing to do for so long and nobody is left beyond the least."""
    with Going(monkeypatch, Size(0, 1), trials=1, drain=5.0) as going:
        until(lambda: going.cluster.living == ["f-0"])
        going.backlog.trials = 0
        going.now = 100.0
        going.backlog.looked_at()
        held = going.thread.is_alive()
        going.cluster.placed[0].how = 0
        going.thread.join(30)

        assert held
        assert not going.thread.is_alive()


def test_each_local_worker_has_gpus_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of one that has ended are free again; without GPUs workers train on the CPU."""
    started: list[Placed] = []

    def host(command: Sequence[str]) -> Placed:
        started.append(Placed("", command[-2:-1]))
        return started[-1]

    monkeypatch.setattr("workers.launchers.local.Host", host)
    launcher = LocalLauncher([], 2, ["cuda:0", "cuda:1", "cuda:2", "cuda:3", "cuda:4"])
    for name in ("a", "b"):
        launcher.start(name, [])
    started[0].how = 0
    launcher.start("c", [])
    LocalLauncher([], 0).start("d", [])

    assert launcher.most == 2
    assert [list(one.flags) for one in started] == [["cuda:0,cuda:1"], ["cuda:2,cuda:3"], ["cuda:0,cuda:1"], ["cpu"]]


def test_more_gpus_than_there_are() -> None:
    """A worker that could never start is refused."""
    with pytest.raises(InvalidSpec, match="2 GPUs, and there are 1"):
        LocalLauncher([], 2, ["cuda:0"])
