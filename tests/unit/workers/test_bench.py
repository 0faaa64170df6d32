"""The bench: which engine a trial goes to, whose turn it is, and what there is place for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from search_spaces.log import bind
from search_spaces.problems import InvalidSpec
from search_spaces.work import ClaimedTask, ClaimedTrial, TaskVersion
from tests.engines import Clock, Counting, chosen
from tests.small_task import CANDIDATE, SmallTask
from workers.bench import MOST_WARM, Bench, Station
from workers.engine import Attempt

OFFERED = [TaskVersion(name=name, version="1") for name in ("one", "two", "three")]


def attempt(task: str = "one", study: str = "mine", **params: Any) -> Attempt:
    """A claimed trial of a task."""
    return Attempt(
        ClaimedTrial(
            study=study, number=0, lease="l", lease_expires_at=datetime.now(UTC), candidate=CANDIDATE,
            task=ClaimedTask(name=task, version="1", params=params), horizon_steps=100, rungs=[], seed=1,
            purpose="search",
        )
    )  # fmt: skip


def bench(size: int = 2) -> Bench:
    """A bench of engines that take `size` trials each."""
    kinds = {offered.name: AnyParams for offered in OFFERED}
    return Bench(kinds, "cpu", chosen(size, lambda task: Counting(size, Clock())), bind("test"))


class AnyParams(SmallTask):
    """The small task, which takes any parameters for itself and counts how often it was closed."""

    def __init__(self, params: Any = None, device: str = "cpu") -> None:
        super().__init__({}, device)
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


def closed(stations: list[Station]) -> list[int]:
    """How often each station's task was closed."""
    return [station.task.closed for station in stations if isinstance(station.task, AnyParams)]


def test_one_engine_for_each_task_and_parameters() -> None:
    """Trials of the same task and parameters meet in one engine, whatever their study."""
    filled = bench()

    first = filled.enter(attempt("one", "mine", depth=1))
    same = filled.enter(attempt("one", "other", depth=1))
    deeper = filled.enter(attempt("one", depth=2))

    assert first is same
    assert first is not deeper
    assert len(filled.busy) == 2


def test_an_engine_is_kept_warm() -> None:
    """When its trials are gone it is there for the next, and holds none of them."""
    filled, done = bench(), attempt()
    station = filled.enter(done)

    filled.leave(done)

    assert filled.busy == []
    assert station.engine.attempts == []
    assert filled.enter(attempt()) is station


def test_few_engines_are_kept_warm() -> None:
    """Of many parameter sets the engines used last are kept: a task may hold its data."""
    filled, stations = bench(), []
    for depth in range(MOST_WARM + 3):
        done = attempt(depth=depth)
        stations.append(filled.enter(done))
        filled.leave(done)

    assert closed(stations) == [1] * 2 + [0] * (MOST_WARM + 1)
    assert filled.enter(attempt(depth=0)) is not stations[0]
    assert filled.enter(attempt(depth=MOST_WARM + 2)) is stations[-1]


def test_closing_a_bench_closes_every_task() -> None:
    """Those with trials too, once each; one that raises harms no other."""
    filled = bench()
    stations = [filled.enter(attempt(depth=depth)) for depth in range(3)]
    filled.leave(stations[0].engine.attempts[0])

    def broken() -> None:
        raise OSError("already gone")

    stations[1].task.close = broken  # type: ignore[method-assign]
    filled.close()
    filled.close()

    assert closed(stations) == [1, 0, 1]
    assert filled.busy == []


def test_what_there_is_place_for() -> None:
    """All tasks while fewer than two engines are busy, then those of the two; nothing when all places are taken."""
    filled = bench(size=2)
    asked: list[list[str] | None] = []

    def ask() -> None:
        wanted = filled.wanted(OFFERED)
        asked.append(None if wanted is None else [version.name for version in wanted])

    ask()
    for name in ("one", "two", "two", "one"):
        filled.enter(attempt(name))
        ask()

    assert asked == [["one", "two", "three"], ["one", "two", "three"], ["one", "two"], ["one"], None]


def test_a_third_parameter_set_is_the_last() -> None:
    """Where a claim for a busy task has brought other parameters, nothing is claimed until an engine is empty."""
    filled = bench(size=2)
    trials = [attempt("one", depth=depth) for depth in range(3)]
    asked = []

    for trial in trials:
        filled.enter(trial)
        asked.append(filled.wanted(OFFERED))
    filled.leave(trials[1])

    assert asked == [OFFERED, [OFFERED[0]], None]
    assert filled.wanted(OFFERED) == [OFFERED[0]]


def test_a_worker_of_one_trial_asks_for_no_other() -> None:
    """With engines of size 1 there is no place while one trains."""
    filled = bench(size=1)

    filled.enter(attempt("one"))

    assert filled.wanted(OFFERED) is None


def spend(filled: Bench, rounds: int, seconds: dict[str, float]) -> dict[str, float]:
    """Let the engines take turns; return how long each task had."""
    spent = dict.fromkeys(seconds, 0.0)
    for _ in range(rounds):
        station: Station = filled.turn()
        name = station.version.name
        spent[name] += seconds[name]
        station.spend(seconds[name], station.engine.attempts)
    return spent


def test_engines_take_turns_by_time() -> None:
    """One whose stretches are ten times as long has a tenth of the turns: equal time."""
    filled = bench()
    filled.enter(attempt("one"))
    filled.enter(attempt("two"))

    spent = spend(filled, 110, {"one": 10.0, "two": 1.0})

    assert spent["one"] == pytest.approx(spent["two"], rel=0.11)


def test_studies_share_time_not_engines() -> None:
    """Two studies in one engine have twice the time of one in another."""
    filled = bench()
    filled.enter(attempt("one", "mine"))
    filled.enter(attempt("one", "other"))
    filled.enter(attempt("two", "third"))

    spent = spend(filled, 300, {"one": 1.0, "two": 1.0})

    assert spent["one"] == pytest.approx(2 * spent["two"], rel=0.05)


def test_time_that_passed_without_an_engine_is_not_owed_to_it() -> None:
    """One that comes late takes turns from then on."""
    filled = bench()
    filled.enter(attempt("one"))
    spend(filled, 100, {"one": 1.0})
    filled.enter(attempt("two"))

    spent = spend(filled, 20, {"one": 1.0, "two": 1.0})

    assert spent["one"] == pytest.approx(10.0, abs=1.0)


def test_parameters_that_do_not_fit() -> None:
    """What the task refuses is raised, and the bench is as before."""
    strict = Bench({"one": SmallTask}, "cpu", chosen(2), bind("test"))

    with pytest.raises(InvalidSpec):
        strict.enter(attempt("one", depth=3))

    assert strict.busy == []
    assert strict.packings["one"].reason == "not measured yet"
