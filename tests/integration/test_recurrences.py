"""Recurrences on both databases, by a clock that stands where it is put."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from sqlalchemy import Connection

from search_spaces.problems import Conflict
from service.clock import Clock
from service.due_times import next_due
from service.night import asked_for
from store import Store, open_store
from store.nights import ask_for, claim_due
from store.outbox import take_message
from store.recurrences import change, get
from store.studies import change_state, delete_study, get_study
from store.workers import offers
from tests.integration.service_simulation import simulated
from tests.nights import SEAL, TEMPLATE, FakeTime, moment_of, nights, recur, study_names, train_all

NOON = "2030-03-27T12:00:00+01:00"
SHORT = {"cron": "0 * * * *", "zone": "UTC"}


@pytest.fixture
def now() -> FakeTime:
    return FakeTime(moment_of(NOON))


@pytest.fixture
def clock(store: Store, now: FakeTime) -> Clock:
    simulated(store)
    return Clock(store, now)


def test_a_due_time_has_its_study_and_the_night_its_end(store: Store, clock: Clock, now: FakeTime) -> None:
    """Submitted when it is due and not before, named by the due time in UTC; its row gets what the answer says."""
    view = recur(store, now)
    clock.round()
    before = study_names(store)

    now.go_to("2030-03-28T02:30:01+01:00")
    clock.round()
    clock.round()
    train_all(store, simulated(store), clock)

    assert view.next_due_at == datetime(2030, 3, 28, 1, 30, tzinfo=UTC)
    assert before == []
    assert study_names(store) == ["nightly.20300328t0130z"]
    [night] = nights(store)
    assert (night.state, night.verdict, night.study) == ("done", "winner", "nightly.20300328t0130z")
    assert night.candidate is not None
    assert night.difference is not None
    assert (night.difference.against, night.difference.n) == ("current", 3)
    assert night.difference.interval[0] > 0
    assert night.sentence
    assert get(store, "nightly").next_due_at == datetime(2030, 3, 29, 1, 30, tzinfo=UTC)


def test_two_clocks_and_five_nights_with_a_clock_change(store: Store, now: FakeTime) -> None:
    """One dies in the middle of a claim; each due time of five nights has exactly one study, whose end is known.

    tests/soak has a fortnight, by processes.
    """
    worker = simulated(store)
    other = open_store(store.url, upgrade=False)
    recur(store, now, keep=100, template=TEMPLATE | {"budget": {"trials": 2}}, warm_nights=0)
    clocks = [Clock(store, now), Clock(other, now)]
    with ThreadPoolExecutor(2) as pool:
        for day in range(5):
            now.at = moment_of(NOON) + day * 86_400 + 14.6 * 3600
            if day == 2:
                _die_in_the_claim(other, now)
            list(pool.map(lambda clock: clock.round(), clocks))
            train_all(store, worker, clocks[day % 2])
    other.close()

    names = [f"nightly.2030{day}z" for day in _due_days()]
    assert study_names(store) == names
    assert [night.study for night in nights(store)] == names
    assert {night.state for night in nights(store)} == {"done"}


def _due_days() -> list[str]:
    """28 March to 1 April at 02:30 in Berlin; on the 31st the clock goes from 02:00 to 03:00, at 01:00 UTC."""
    return ["0328t0130", "0329t0130", "0330t0130", "0331t0100", "0401t0030"]


class _DiedError(BaseException):
    pass


def _die_in_the_claim(store: Store, now: FakeTime) -> None:
    """What a process that is killed in the middle of a claim leaves: nothing of it."""

    def dying(due: object) -> None:
        raise _DiedError

    with pytest.raises(_DiedError):
        claim_due(store, "nightly", dying, now)  # type: ignore[arg-type]


def test_a_failed_night_never_stops_the_next_one(store: Store, clock: Clock, now: FakeTime) -> None:
    """A name that is taken, a study that fails, one that is deleted: each night says so, the next one is submitted."""
    recur(store, now, **SHORT)
    worker = simulated(store, lambda _candidate, _seed: float("nan"))
    now.at += 3600
    clock.round()
    train_all(store, worker, clock)
    now.at += 3600
    clock.round()
    change_state(store, nights(store)[1].study or "", "stopped")
    delete_study(store, nights(store)[1].study or "")
    now.at += 3600
    clock.round()
    change_state(store, nights(store)[2].study or "", "stopped", "enough")
    now.at += 3600
    clock.round()

    assert [night.state for night in nights(store)] == ["failed", "failed", "stopped", "running"]
    said = [night.reason for night in nights(store)]
    assert said[0] is not None
    assert said[0].startswith("none of 6 trials ran to its end")
    assert said[1:] == ["its study was deleted", "enough", None]


def test_what_refutes_a_night_fails_that_night_only(store: Store, clock: Clock, now: FakeTime) -> None:
    """A study of its name is there already: the night is failed, and its time counts as done."""
    from tests.studies import run_study

    recur(store, now, **SHORT)
    run_study(store, "nightly.20300327t1200z")
    now.at += 3600
    clock.round()
    now.at += 3600
    clock.round()

    assert [(night.state, night.study) for night in nights(store)] == [
        ("failed", None), ("running", "nightly.20300327t1300z"),
    ]  # fmt: skip
    assert nights(store)[0].reason == "name: a study named nightly.20300327t1200z exists"


@pytest.mark.parametrize(("catch_up", "states", "missed"), [("once", ["running"], 4), ("none", ["skipped"], 4)])
def test_a_service_that_was_down_catches_up_once_or_not(
    store: Store, clock: Clock, now: FakeTime, catch_up: str, states: list[str], missed: int
) -> None:
    """Down over five due times: the latest is submitted late, or none; the row and the recurrence say how many."""
    recur(store, now, catch_up=catch_up, max_concurrent=9, **SHORT)

    now.at += 5.5 * 3600
    clock.round()
    clock.round()

    assert [night.state for night in nights(store)] == states
    assert nights(store)[0].due_at == datetime(2030, 3, 27, 16, tzinfo=UTC)
    assert nights(store)[0].missed == missed
    assert get(store, "nightly").missed == missed
    assert get(store, "nightly").next_due_at == datetime(2030, 3, 27, 17, tzinfo=UTC)


def test_while_clocks_run_no_due_time_is_missed(store: Store, clock: Clock, now: FakeTime) -> None:
    """Three due times within five minutes have their study each, one round after the other."""
    recur(store, now, cron="* * * * *", max_concurrent=9)

    now.at += 180
    for _ in range(4):
        clock.round()

    assert [night.state for night in nights(store)] == ["running"] * 3
    assert len(study_names(store)) == 3


def test_a_clock_that_jumps_repeats_nothing_and_goes_on(store: Store, clock: Clock, now: FakeTime) -> None:
    """Put a year ahead by mistake and back: one late night, then the usual ones; put back: no night comes twice."""
    recur(store, now, max_concurrent=9, **SHORT)
    now.at += 3600
    clock.round()
    now.at += 365 * 86_400
    clock.round()
    now.at -= 365 * 86_400 - 1800
    clock.round()
    now.at += 1800
    clock.round()
    now.at -= 7200
    clock.round()
    now.at += 3600
    clock.round()

    found = [night.due_at for night in nights(store)]
    assert [due.hour for due in found if due.year == 2030] == [12, 13]
    assert [due.year for due in found] == [2030, 2030, 2031]


@pytest.mark.parametrize(("overlap", "states"), [("skip", ["running", "skipped"]), ("queue", ["running", "waiting"])])
def test_one_night_at_a_time(store: Store, clock: Clock, now: FakeTime, overlap: str, states: list[str]) -> None:
    """A due time while as many as may be are under way is skipped, or waits until one has ended."""
    recur(store, now, overlap=overlap, **SHORT)
    for _ in range(2):
        now.at += 3600
        clock.round()
    before = [night.state for night in nights(store)]

    change_state(store, nights(store)[0].study or "", "stopped")
    clock.round()

    assert before == states
    after = [night.state for night in nights(store)]
    assert after == ["stopped", "running" if overlap == "queue" else "skipped"]


def test_a_paused_recurrence_is_never_due_and_catches_nothing_up(store: Store, clock: Clock, now: FakeTime) -> None:
    """While it is paused nothing is submitted; afterwards the next due time is one to come."""
    recur(store, now, **SHORT)
    paused = change(store, "nightly", lambda spec: spec.model_copy(update={"paused": True}), next_due, now)
    now.at += 86_400
    clock.round()
    resumed = change(store, "nightly", lambda spec: spec.model_copy(update={"paused": False}), next_due, now)
    clock.round()

    assert paused.next_due_at is None
    assert resumed.next_due_at == datetime(2030, 3, 28, 12, tzinfo=UTC)
    assert nights(store) == []


def test_a_recurrence_ends(store: Store, clock: Clock, now: FakeTime) -> None:
    """No due time before its start and none after its end."""
    view = recur(store, now, start="2030-03-27T13:30:00Z", end="2030-03-27T15:00:00Z", max_concurrent=9, **SHORT)
    for _ in range(8):
        now.at += 3600
        clock.round()

    assert view.next_due_at == datetime(2030, 3, 27, 14, tzinfo=UTC)
    assert [night.due_at.hour for night in nights(store)] == [14, 15]
    assert get(store, "nightly").next_due_at is None


def test_a_night_is_asked_for_exactly_once(store: Store, clock: Clock, now: FakeTime) -> None:
    """The same claim id gives the same night, from several threads too; another one in its minute is refused."""
    recur(store, now, paused=True, max_concurrent=9)
    known = offers(store)

    def ask(claim_id: str) -> str | None:
        return ask_for(store, "nightly", claim_id, lambda due: asked_for(due, known), now).study

    with ThreadPoolExecutor(4) as pool:
        studies = set(pool.map(ask, ["mine"] * 4))
    with pytest.raises(Conflict, match="is there already"):
        ask("another")
    now.at += 60
    later = ask("another")

    assert studies == {"nightly.20300327t1100z"}
    assert later == "nightly.20300327t1101z"
    assert study_names(store) == ["nightly.20300327t1100z", "nightly.20300327t1101z"]
    assert [night.asked_for for night in nights(store)] == [True, True]


def test_nights_beyond_keep_leave_their_answers(store: Store, clock: Clock, now: FakeTime) -> None:
    """Of four nights with keep = 2 the first two have no trials any more, but their answers and names."""
    recur(store, now, keep=2, **SHORT)
    worker = simulated(store)
    for _ in range(4):
        now.at += 3600
        clock.round()
        train_all(store, worker, clock)

    assert [night.pruned for night in nights(store)] == [True, True, False, False]
    first = get_study(store, nights(store)[0].study or "")
    assert (first.state, first.counts.ended) == ("done", 0)
    assert get_study(store, nights(store)[3].study or "").counts.ended == 6


def test_a_winner_is_adopted_where_that_is_the_policy(store: Store, clock: Clock, now: FakeTime) -> None:
    """The next night compares with it, and the template's own schedule is no longer in use."""
    recur(store, now, adopt="winner", **SHORT)
    recur(store, now, name="kept", **SHORT)
    worker = simulated(store)
    for _ in range(2):
        now.at += 3600
        clock.round()
        train_all(store, worker, clock)

    first, second = nights(store)
    assert first.verdict == "winner"
    assert first.in_use is not None
    assert first.in_use.initial_lr == 0.1
    assert second.in_use == first.candidate
    assert get(store, "kept").in_use_from is None
    assert nights(store, "kept")[1].in_use == first.in_use


def test_news_is_told_and_nothing_else(store: Store, clock: Clock, now: FakeTime) -> None:
    """The first verdict is, the same one the night after is not, a failed night is; each message is taken once."""
    recur(store, now, webhook={"url": "https://hooks.example.com/x", "secret": "0123456789abcdef"}, **SHORT)
    worker = simulated(store)
    for _ in range(2):
        now.at += 3600
        clock.round()
        train_all(store, worker, clock)
    now.at += 3600
    clock.round()
    delete_study(store, nights(store)[2].study or "")
    clock.round()

    messages = [take_message(store, 60, SEAL) for _ in range(3)]

    said = [(message.event, message.content["due_at"]) for message in messages if message is not None]
    assert said == [("verdict_changed", "2030-03-27T12:00:00Z"), ("night_failed", "2030-03-27T14:00:00Z")]
    assert messages[0] is not None
    assert messages[0].webhook is not None
    assert messages[0].webhook.secret == "0123456789abcdef"


def test_a_defect_fails_one_night_and_not_the_next(
    store: Store, clock: Clock, now: FakeTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What nobody has foreseen fails the night in which it happens; the due time after it is claimed as ever."""
    recur(store, now, **SHORT)
    with monkeypatch.context() as patch:
        patch.setattr("service.night.derived_seed", lambda *_words: "none")
        now.at += 3600
        clock.round()
    now.at += 3600
    clock.round()

    assert [night.state for night in nights(store)] == ["failed", "running"]
    assert "a defect of the service (ValidationError)" in (nights(store)[0].reason or "")


def test_time_is_the_databases(store: Store) -> None:
    """Without a clock of a test's, a recurrence is due by the database's time."""
    seen: list[float] = []

    def looked(connection: Connection) -> float:
        seen.append(store.now(connection))
        return seen[-1]

    clock = Clock(store)
    assert clock.now == store.now
    Clock(store, looked).round()
    assert len(seen) == 1


def test_a_service_keeps_time_by_itself(store: Store, clock: Clock, now: FakeTime) -> None:
    """While its threads run, the end of a night is written down without being asked for; they end with the block."""
    from service.settings import Settings
    from service.timekeeping import Timekeeping
    from tests.machine import until

    recur(store, now, **SHORT)
    now.at += 3600
    clock.round()
    change_state(store, nights(store)[0].study or "", "stopped", "enough")
    change(store, "nightly", lambda spec: spec.model_copy(update={"paused": True}), next_due)

    with Timekeeping(store, Settings()):
        until(lambda: nights(store)[0].state == "stopped")

    assert "clock" not in {thread.name for thread in threading.enumerate()}
