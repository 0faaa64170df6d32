"""How many trials a worker packs: by their fastest slices, and never a pack that gains nothing."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch

from tests.small_task import SmallTask
from workers.engine import Attempt, Engine
from workers.packing import measure
from workers.packing.measure import packed
from workers.packing.pack import Pack
from workers.packing.ways import CompiledOrNot
from workers.solo import Solo


class Clock:
    """A clock that an engine's updates move."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        """Return the seconds that updates have taken."""
        return self.now

    process_time = perf_counter


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Let every measurement go by this clock."""
    made = Clock()
    monkeypatch.setattr(measure, "time", made)
    return made


def costs(clock: Clock, monkeypatch: pytest.MonkeyPatch, alone: Any, together: Any) -> None:
    """Let an update of one trial take `alone()` seconds, and one of a pack of k `together(k)`."""

    def advance_with(seconds: Any) -> Any:
        def advance(engine: Engine, interrupted: Any) -> list[Attempt]:
            while not interrupted():
                clock.now += seconds(engine)
            return []

        return advance

    monkeypatch.setattr(Solo, "advance", advance_with(lambda _: alone()))
    monkeypatch.setattr(Pack, "advance", advance_with(lambda engine: together(engine.size)))
    monkeypatch.setattr(Pack, "is_whole", True)


def test_the_fastest_size_is_picked_and_from_where_it_pays(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Overhead of 4 ms, 1 ms a trial, more in packs above 16: 16 are picked, and 4 at once are as good as alone."""
    costs(clock, monkeypatch, lambda: 2e-3, lambda k: 4e-3 + 1e-3 * k + max(0, k - 16) * 2e-3)

    opening = packed(SmallTask())

    engine = opening.make()
    assert isinstance(engine, Pack)
    assert (opening.packing.size, engine.size) == (16, 16)
    assert "1.6 times" in str(opening.packing.reason)
    assert engine._least == 8


def test_what_gains_nothing_is_trained_one_by_one(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packs that take k times one trial's update: one by one, and none above 16 was tried."""
    tried: list[int] = []

    def together(size: int) -> float:
        tried.append(size)
        return 2.1e-3 * size

    costs(clock, monkeypatch, lambda: 2e-3, together)

    opening = packed(SmallTask())

    assert isinstance(opening.make(), Solo)
    assert opening.packing.size == 1
    assert max(tried) == 16


def test_a_neighbour_that_disturbs_some_slices_changes_nothing(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every stretch of time in which all takes five times as long, whichever side it hits, leaves the pick as it is."""
    for begins in (0.0, 0.05, 0.1, 0.2, 0.4):
        clock.now = 0.0

        def slowed(seconds: float, begins: float = begins) -> float:
            return seconds * (5 if begins <= clock.now < begins + 0.15 else 1)

        costs(
            clock,
            monkeypatch,
            lambda slowed=slowed: slowed(1e-3),
            lambda k, slowed=slowed: slowed(2e-3 + 2.5e-4 * k),
        )

        assert packed(SmallTask(), most=16).packing.size == 16


def test_a_pack_that_falls_apart_ends_the_search(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where packs of 32 do not hold, the best of the smaller ones is taken."""
    costs(clock, monkeypatch, lambda: 2e-3, lambda k: 4e-3 + 5e-4 * k)
    monkeypatch.setattr(Pack, "is_whole", property(lambda pack: pack.size < 32))

    assert packed(SmallTask()).packing.size == 16


def test_what_cannot_be_compiled_is_not_chosen() -> None:
    """A task with dropout: compiling is asked for, and another way is taken."""
    opening = packed(SmallTask(), most=2, compiles=True)

    assert "compiled" not in str(opening.packing.reason)


def test_a_compilation_that_fails_is_said_and_gone_without(caplog: pytest.LogCaptureFixture) -> None:
    """The function is called as it is from then on, and the log says so once."""

    def broken(number: int) -> int:
        torch._dynamo.graph_break()
        return number + 1

    compiled = CompiledOrNot(broken)
    with caplog.at_level(logging.WARNING):
        results = [compiled(1), compiled(2)]

    assert results == [2, 3]
    assert caplog.text.count("torch.compile failed") == 1
