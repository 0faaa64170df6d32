"""One machine of several: it serves when nobody else does, steps back when another does, and ends when all is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from etude import member as member_module
from etude.member import Member
from etude.parts import PartFailed
from etude.settings import PartsSettings
from etude.shared import Head, SharedDirectory


class FakePart:
    """A process that ends when the test says so."""

    def __init__(self, name: str) -> None:
        self.name, self.log = name, Path("log")
        self.exit_status: int | None = None


class FakeParts:
    """Processes that are only written down."""

    made: list[FakeParts]

    def __init__(self, *_arguments: object, **_options: object) -> None:
        self.parts: list[FakePart] = []
        self.started: list[str] = []
        type(self).made.append(self)

    def __iter__(self) -> Iterator[FakePart]:
        return iter(self.parts)

    def start(self, name: str, *_words: str, **_options: object) -> FakePart:
        self.parts.append(FakePart(name))
        self.started.append(name)
        return self.parts[-1]

    def kill(self, part: FakePart) -> None:
        self.parts.remove(part)

    def check(self) -> None:
        if any(part.exit_status is not None for part in self.parts):
            raise PartFailed("service ended with status 1")

    def stop(self, *_seconds: float) -> None:
        self.parts.clear()


class FakeServing:
    """A service that answers at once."""

    made: list[FakeServing]

    def __init__(self, office: Any, shared: object, settings: object, advertised: str, parts: FakeParts) -> None:
        self.office, self.parts, self.ended = office, parts, False
        self.why: str | None = None
        type(self).made.append(self)

    def start(self) -> None:
        self.parts.start("service")
        self.office.beat(url="http://here:1")

    def stop(self, why: str | None) -> None:
        self.ended, self.why = True, why
        if why is not None:
            self.office.beat(ended=why)


class Turns:
    """The machine's clock and its sleep: at each turn of its loop the test does something."""

    def __init__(self, *acts: Callable[[], object]) -> None:
        self.now, self.acts = 0.0, list(acts)

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if not self.acts:
            raise KeyboardInterrupt
        self.acts.pop(0)()


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SharedDirectory:
    """A directory, and processes that are none."""
    FakeParts.made, FakeServing.made = [], []
    monkeypatch.setattr(member_module, "Parts", FakeParts)
    monkeypatch.setattr(member_module, "Serving", FakeServing)
    return SharedDirectory(tmp_path / "shared")


def worked(shared: SharedDirectory, monkeypatch: pytest.MonkeyPatch, turns: Turns, **fields: Any) -> list[str]:
    """Be a machine for some turns; return what it said."""
    said: list[str] = []
    monkeypatch.setattr(member_module, "time", turns)
    settings = PartsSettings(data_dir=shared.path.parent / "disk")
    try:
        with Member(shared, settings, "here", shared.path, {}, said.append, **fields) as machine:
            machine.work()
    except KeyboardInterrupt:
        said.append("interrupted")
    return said


def other(shared: SharedDirectory, generation: int, **said: str) -> None:
    """Another machine says that it is the head."""
    shared.record(generation).parent.mkdir(parents=True, exist_ok=True)
    shared.say(Head(generation, "other", "there", **{"url": "http://there:2", **said}))  # type: ignore[arg-type]


def nothing() -> None:
    """Let a turn pass."""


def test_the_first_machine_serves_and_leaves_in_order(shared: SharedDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its workers end before its service, which is said to have ended."""
    said = worked(shared, monkeypatch, Turns(nothing, nothing), worker_flags=[["--pack", "1"]])

    [serving] = FakeServing.made
    head = shared.head()
    assert said == ["head       http://here:1 (this machine; generation 1)", "interrupted"]
    assert (serving.why, head and head.ended) == ("stopped", "stopped")
    assert [len(parts.started) for parts in FakeParts.made] == [1, 1]


def test_a_head_steps_back_for_a_later_one(shared: SharedDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says nothing into the directory any more, and works for the other."""
    said = worked(shared, monkeypatch, Turns(lambda: other(shared, 2), nothing, nothing))

    [serving] = FakeServing.made
    assert (serving.ended, serving.why) == (True, None)
    assert said[1:3] == ["stops serving: another machine has taken over", "head       http://there:2 (there)"]


def test_a_service_that_dies_is_followed_by_another(shared: SharedDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the same machine as like as not: the next generation begins without waiting for a silence."""

    def die() -> None:
        FakeServing.made[0].parts.parts[0].exit_status = 1

    said = worked(shared, monkeypatch, Turns(die, nothing, nothing))

    assert [serving.why for serving in FakeServing.made] == ["failed", "stopped"]
    assert said[1:3] == ["service ended with status 1", "head       http://here:1 (this machine; generation 2)"]


def test_a_worker_that_dies_is_started_again(shared: SharedDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a pause, under its name, and it is said; the service is left alone."""

    def die() -> None:
        FakeParts.made[0].parts[0].exit_status = -9

    waits = [nothing] * int(member_module.WORKER_PAUSE_SECONDS / member_module.LOOK_SECONDS + 2)
    said = worked(shared, monkeypatch, Turns(nothing, die, *waits), worker_flags=[[]])

    workers = FakeParts.made[0].started
    assert len(workers) == 2
    assert workers[0] == workers[1]
    assert any("ended with status -9" in words for words in said)
    assert len(FakeServing.made) == 1


@pytest.mark.parametrize(("live", "serves"), [(True, True), (False, False)])
def test_a_head_that_ended_for_lack_of_work_is_not_followed(
    shared: SharedDirectory, monkeypatch: pytest.MonkeyPatch, live: bool, serves: bool
) -> None:
    """The others end, too, but where they know of a study: then one of them goes on."""
    monkeypatch.setattr(member_module, "STUDIES_SECONDS", 0.0)
    answers: list[bool | None] = [None, live, None]
    monkeypatch.setattr(Member, "_is_study_live", lambda _self: answers.pop(0) if len(answers) > 1 else answers[0])
    shared.make()
    other(shared, 1)

    said = worked(shared, monkeypatch, Turns(nothing, lambda: other(shared, 1, ended="drained"), nothing), drain=100.0)

    assert bool(FakeServing.made) == serves
    assert (said[-1] == "interrupted") == serves


def test_a_machine_drains(shared: SharedDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """After so long without a study, which is written down for the others."""
    monkeypatch.setattr(Member, "_is_study_live", lambda _self: False)

    said = worked(shared, monkeypatch, Turns(*[nothing] * 200), drain=20.0)

    head = shared.head()
    assert said == ["head       http://here:1 (this machine; generation 1)"]
    assert head is not None
    assert head.ended == "drained"


def test_a_directory_that_is_away_ends_nobody(shared: SharedDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said once, and the head goes on when it is back in time."""

    def fail(_self: object, **_changed: object) -> None:
        raise OSError(5, "Input/output error")

    def break_() -> None:
        monkeypatch.setattr("etude.election.Office.beat", fail)
        monkeypatch.setattr("etude.election.Office.due", True)

    good = member_module.Office.beat
    said = worked(
        shared, monkeypatch,
        Turns(break_, nothing, nothing, lambda: monkeypatch.setattr("etude.election.Office.beat", good)),
    )  # fmt: skip

    assert sum("of no use just now" in words for words in said) == 1
    assert [serving.why for serving in FakeServing.made] == ["stopped"]
