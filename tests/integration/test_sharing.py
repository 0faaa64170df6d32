"""Workers, connections and studies that share one store."""

from __future__ import annotations

import heapq
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import create_engine, text

from search_spaces.work import Announcement
from store import Store, open_store
from store.proposals import history
from store.studies import change_state, get_study, own, set_priority
from store.verbs import SqlVerbs
from tests.chaos import wait_until
from tests.engines import Clock, Counting, chosen
from tests.studies import add_proposals, claim, finish, run_study
from tests.wire import Wire, work
from workers.engine import Attempt, Interrupted
from workers.timing import Stop


def connections(url: str) -> int:
    """Connections of ours to the database, as PostgreSQL counts them."""
    engine = create_engine(url)
    with engine.connect() as connection:
        count = connection.execute(
            text(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name = 'etude'"
            )
        ).scalar_one()
    engine.dispose()
    return int(count)


@pytest.mark.parametrize("workers", [1, 3, 4])
def test_two_studies_of_one_priority_get_equal_worker_time(store: Store, workers: int) -> None:
    """However many workers, one study with trials three times as long: each has half of their time within 20 %."""
    run_study(store, "short", budget={"trials": 400})
    run_study(store, "long", budget={"trials": 400})
    add_proposals(store, "short", count=120)
    add_proposals(store, "long", count=120)

    spent = worker_time(store, workers, {"short": 1.0, "long": 3.0}, until=160.0 / workers)

    assert spent["short"] == pytest.approx(spent["long"], rel=0.2)


def test_a_study_that_comes_later_does_not_catch_up(store: Store) -> None:
    """From then on it has half of one worker's time, whatever the other one had before."""
    run_study(store, "early", budget={"trials": 400})
    add_proposals(store, "early", count=120)
    worker_time(store, 1, {"early": 1.0}, until=60.0)
    run_study(store, "late", budget={"trials": 400})
    add_proposals(store, "late", count=120)

    spent = worker_time(store, 1, {"early": 1.0, "late": 1.0}, until=40.0)

    assert spent["early"] == pytest.approx(spent["late"], rel=0.2)


def worker_time(store: Store, workers: int, length: dict[str, float], until: float) -> dict[str, float]:
    """Let workers train until a time, where a trial takes as long as its study says; return each study's time.

    An hour of theirs is a moment of the store's: its clock is set forward by moving what it has written back.
    """
    verbs = SqlVerbs(store)
    spent = dict.fromkeys(length, 0.0)
    free = [(0.0, f"w{n}") for n in range(workers)]
    held: dict[str, object] = {}
    clock = 0.0
    while free[0][0] < until:
        now, worker = heapq.heappop(free)
        pass_time(store, now - clock)
        clock = now
        if worker in held:
            finish(verbs, held.pop(worker))  # type: ignore[arg-type]
        trial = claim(verbs, worker=worker)[0]
        held[worker] = trial
        spent[trial.study] += length[trial.study]
        heapq.heappush(free, (now + length[trial.study], worker))
    for trial in held.values():
        finish(verbs, trial)  # type: ignore[arg-type]
    return spent


def pass_time(store: Store, seconds: float) -> None:
    """Make everything that the store knows that much older; leases go on."""
    with store.begin() as connection:
        for column in ("claimed_at", "finished_at"):
            connection.execute(text(f"UPDATE etude_proposals SET {column} = {column} - :by"), {"by": seconds})
        connection.execute(text("UPDATE etude_studies SET created_at = created_at - :by"), {"by": seconds})


@pytest.mark.parametrize("size", [4, 32])
def test_two_studies_share_a_worker_that_packs(store: Store, size: int) -> None:
    """One worker whose trials of a pack begin and end together, one study's three times as long: equal time."""
    for name, steps in (("short", 50), ("long", 150)):
        run_study(store, name, budget={"trials": 300}, horizon={"steps": steps}, pruner={"kind": "none"})
        add_proposals(store, name, count=200)
    clock, stop = Clock(), Stop()

    class Until(Counting):
        def advance(self, interrupted: Interrupted) -> list[Attempt]:
            if clock.now >= 600.0:
                stop.ask()
                return []
            return super().advance(interrupted)

    work(Wire(SqlVerbs(store)), stop=stop, clock=clock, choose=chosen(size, lambda task: Until(size, clock)))

    spent = {live.name: sum(trial.worker_seconds for trial in history(store, live.study_id))
             for live in own(store, "tests", 60)}  # fmt: skip
    assert spent["short"] + spent["long"] == pytest.approx(600.0)
    assert spent["short"] == pytest.approx(spent["long"], rel=0.2)


def test_a_higher_priority_goes_first(store: Store) -> None:
    """Claims are served by priority, whatever was submitted first."""
    run_study(store, "first")
    run_study(store, "urgent")
    add_proposals(store, "first", count=2)
    add_proposals(store, "urgent", count=2)

    set_priority(store, "urgent", 5)
    served = [claim(SqlVerbs(store))[0].study for _ in range(4)]

    assert served == ["urgent", "urgent", "first", "first"]


def test_a_resting_worker_holds_no_connection(postgres_url: str) -> None:
    """Between verbs that are far apart a worker's one connection is closed, and the next verb opens it again."""
    opened = open_store(postgres_url, pool_size=1)
    verbs = SqlVerbs(opened, rest_seconds=0.2)

    verbs.announce("w", Announcement())
    at_work = connections(postgres_url)
    wait_until(lambda: connections(postgres_url) == 0, 10)
    verbs.announce("w", Announcement())

    assert at_work == 1
    verbs.close()


def test_workers_share_few_connections(postgres_url: str) -> None:
    """Thirty workers, each with a pool of its own, hold no more connections than verbs are under way."""
    stores = [open_store(postgres_url, pool_size=1) for _ in range(30)]
    crowd = [SqlVerbs(store, rest_seconds=0.05) for store in stores]
    for store in stores:
        store.close()  # what opening it took

    def announce(place: int) -> int:
        crowd[place].announce(f"w{place}", Announcement())
        wait_until(lambda: stores[place].engine.pool.checkedin() == 0, 10)  # type: ignore[attr-defined]
        return connections(postgres_url)

    with ThreadPoolExecutor(3) as pool:
        seen = list(pool.map(announce, range(30)))

    assert max(seen) <= 3
    for verbs in crowd:
        verbs.close()


def test_pause_and_resume_beside_workers(store: Store) -> None:
    """A study is stopped while others are trained: only its own trials end."""
    run_study(store, "one")
    run_study(store, "two")
    add_proposals(store, "one", count=2)
    add_proposals(store, "two", count=2)
    verbs = SqlVerbs(store)
    trials = claim(verbs, count=4)

    change_state(store, "one", "stopped")
    answers = {trial.study: finish(verbs, trial) for trial in trials}

    assert answers["one"].directive == "stop"
    assert get_study(store, "two").counts.complete == 2
