"""The coordinator's rounds: one broken study holds up no other, and an outage is waited through."""

from __future__ import annotations

import threading
from typing import Any, cast

import pytest

from search_spaces.problems import Conflict, StoreUnavailable
from service import coordinator as module
from service.coordinator import BUSY_SECONDS, IDLE_GROWTH, IDLE_SECONDS, OUTAGE_SECONDS, Coordinator
from store import Store
from store.studies import LiveStudy

from .made import search_for

NO_STORE = cast(Store, None)


def live(name: str) -> LiveStudy:
    search = search_for()
    return LiveStudy(
        name=name, study_id=1, state="running", spec=search.spec, resolved=search.resolved, space=search.space,
        created_at=0.0,
    )  # fmt: skip


class Stop(threading.Event):
    """Ends the work after some pauses, and remembers how long they were to be."""

    def __init__(self, pauses: int) -> None:
        super().__init__()
        self.left = pauses
        self.pauses: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.pauses.append(timeout)
        self.left -= 1
        if self.left <= 0:
            self.set()
        return self.is_set()


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the studies whose step was taken; `broken` raises a defect, `refused` a problem."""
    taken: list[str] = []

    def step(_store: Store, study: LiveStudy) -> bool:
        taken.append(study.name)
        if study.name == "broken":
            raise ZeroDivisionError
        if study.name == "refused":
            raise Conflict("not now")
        return True

    monkeypatch.setattr(module, "step", step)
    monkeypatch.setattr(module, "sweep_expired", lambda *_: 0)
    monkeypatch.setattr(module, "disown", lambda *_: taken.append("disowned"))
    monkeypatch.setattr(module, "beat", lambda *_: None)
    monkeypatch.setattr(module, "say_goodbye", lambda *_: None)
    monkeypatch.setattr(module, "own", lambda *_: [live("broken"), live("refused"), live("sound")])
    return taken


def test_a_broken_study_holds_up_no_other(steps: list[str]) -> None:
    """A defect or a problem in one study's step is logged; the next study's step is taken."""
    changed = Coordinator(NO_STORE).round()

    assert steps == ["broken", "refused", "sound"]
    assert changed is True


def test_signs_of_life_tell_how_many_studies_fail(steps: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Those whose latest step was refused or failed; one that is not owned any more is not counted."""
    told: list[int] = []
    monkeypatch.setattr(module, "BEAT_SECONDS", 0.0)
    monkeypatch.setattr(module, "beat", lambda _store, _name, failing: told.append(failing))
    coordinator = Coordinator(NO_STORE)

    coordinator.round()
    monkeypatch.setattr(module, "own", lambda *_: [live("refused"), live("sound")])
    coordinator.round()

    assert told == [2, 1]


def test_studies_are_given_up_at_once_while_a_step_is_under_way(
    steps: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A coordinator that is to stop does not keep its studies until a long draw is over."""
    drawing, drawn, given_up, stop = (threading.Event() for _ in range(4))

    def step(_store: Store, _study: LiveStudy) -> bool:
        drawing.set()
        return drawn.wait(30)

    monkeypatch.setattr(module, "step", step)
    monkeypatch.setattr(module, "disown", lambda *_: given_up.set())
    coordinator = Coordinator(NO_STORE)
    threads = [
        threading.Thread(target=coordinator.work, args=(stop,)),
        threading.Thread(target=coordinator.give_up_on, args=(stop,)),
    ]
    for thread in threads:
        thread.start()

    assert drawing.wait(30)
    stop.set()
    early = given_up.wait(30)
    drawn.set()
    for thread in threads:
        thread.join(30)

    assert early
    assert not any(thread.is_alive() for thread in threads)


def test_an_outage_is_waited_through(steps: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """While the store is away nothing is done but waiting, up to 5 s; then the work goes on, and all is given up."""
    answers: list[Any] = [*(StoreUnavailable("away") for _ in range(5)), [live("sound")], []]

    def own(*_: object) -> list[LiveStudy]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return cast("list[LiveStudy]", answer)

    monkeypatch.setattr(module, "own", own)
    stop = Stop(7)

    Coordinator(NO_STORE).work(stop)

    assert steps == ["sound", "disowned"]
    assert stop.pauses == [0.4, 0.8, 1.6, 3.2, OUTAGE_SECONDS, BUSY_SECONDS, IDLE_GROWTH * BUSY_SECONDS]


def test_idle_rounds_come_less_and_less_often(steps: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each pause is at most a quarter of the time without news, beyond the shortest, and none is over 1 s."""
    monkeypatch.setattr(module, "own", lambda *_: [])
    stop = Stop(20)

    Coordinator(NO_STORE).work(stop)

    pauses = [pause or 0.0 for pause in stop.pauses]
    without_news = [sum(pauses[:count]) for count in range(len(pauses))]
    assert pauses[0] < 0.2
    assert pauses[-3:] == [IDLE_SECONDS] * 3
    assert all(
        pause <= BUSY_SECONDS * 1.25 + since / 4 + 1e-9 for pause, since in zip(pauses, without_news, strict=True)
    )
    assert steps == ["disowned"]


def test_news_end_a_pause(monkeypatch: pytest.MonkeyPatch, steps: list[str]) -> None:
    """A coordinator that would rest for minutes looks again at once when it is nudged, and ends when it is to stop."""
    looked = threading.Semaphore(0)
    monkeypatch.setattr(module, "BUSY_SECONDS", 600.0)
    monkeypatch.setattr(module, "own", lambda *_: looked.release() or [])
    stop, news = threading.Event(), threading.Event()
    thread = threading.Thread(target=Coordinator(NO_STORE).work, args=(stop, news))
    thread.start()

    assert looked.acquire(timeout=30)
    news.set()
    assert looked.acquire(timeout=30)
    stop.set()
    news.set()
    thread.join(30)

    assert not thread.is_alive()
    assert steps == ["disowned"]


def test_an_outage_in_a_step_ends_the_round(steps: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The store being away is no defect of the study: the round is given up and the loop waits."""

    def away(_store: Store, study: LiveStudy) -> bool:
        steps.append(study.name)
        raise StoreUnavailable("away")

    monkeypatch.setattr(module, "step", away)

    with pytest.raises(StoreUnavailable):
        Coordinator(NO_STORE).round()

    assert steps == ["broken"]


def test_coordinators_have_names_of_their_own() -> None:
    """Two in one process are two owners."""
    assert Coordinator(NO_STORE).owner != Coordinator(NO_STORE).owner
