"""Small forms of the soak tests: the budget is exact whatever dies."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import optuna

from store import open_store
from store.studies import get_study
from store.trials import list_trials
from tests.chaos import (
    add_service,
    add_workers,
    assert_every_report,
    assert_exact,
    crowd,
    run_through,
    submit_simulated,
    wait_until,
)
from tests.postgres import Postgres
from tests.readers import reading
from tests.studies import stock_storage

UNPRUNED = {"kind": "none"}
CHAOS_TRIALS = 12


def test_an_exact_budget_on_postgresql_while_everything_is_killed(postgres_url: str, tmp_path: Path) -> None:
    """Workers over SQL and HTTP, two services, a kill -9 every two seconds, a stock user, readers all the while."""
    with crowd(postgres_url, tmp_path) as made, reading(postgres_url, tmp_path) as readers:
        store = open_store(postgres_url)
        address = add_service(made)
        add_service(made)
        add_workers(made, 1)
        add_workers(made, 2, http=address)
        submit_simulated(store, "chaos", CHAOS_TRIALS)
        stranger = threading.Thread(target=add_foreign, args=(postgres_url, "chaos", 5))
        stranger.start()

        run_through(made, store, "chaos", 240, kill_every=2.0)

        stranger.join()
        assert_exact(store, "chaos", CHAOS_TRIALS, foreign=5)
        readers.see_all("chaos", CHAOS_TRIALS + 5)
        readers.assert_right()
        assert made.kills >= 2
        store.close()


def add_foreign(url: str, name: str, count: int) -> None:
    """Add trials as stock Optuna does, one after the other, once the study exists."""
    with stock_storage(url) as storage:
        wait_until(lambda: name in optuna.get_all_study_names(storage), 60)
        study = optuna.load_study(study_name=name, storage=storage)
        study.optimize(lambda trial: 50 + trial.suggest_float("theirs", 0, 1), n_trials=count)


def test_an_exact_budget_on_sqlite(sqlite_url: str, tmp_path: Path) -> None:
    """The same on the embedded store, a process killed every two seconds, readers all the while."""
    with crowd(sqlite_url, tmp_path) as made, reading(sqlite_url, tmp_path) as readers:
        store = open_store(sqlite_url)
        add_service(made)
        add_workers(made, 2)
        submit_simulated(store, "chaos", CHAOS_TRIALS)

        run_through(made, store, "chaos", 240, kill_every=2.0)

        assert_exact(store, "chaos", CHAOS_TRIALS)
        readers.see_all("chaos", CHAOS_TRIALS)
        readers.assert_right()
        store.close()


def test_postgresql_restarted_in_the_middle(tmp_path: Path) -> None:
    """The server stops at once and starts again: nobody dies, a real worker neither; every report is there."""
    server = Postgres()
    try:
        with crowd(server.url(), tmp_path) as made:
            store = open_store(server.url())
            address = add_service(made)
            add_workers(made, 2, pause=0.02)
            add_workers(made, 1, http=address, pause=0.02)
            made.add("workers", "--name", "real", "--tasks", "digits-noisy", "--pack", "1")
            submit_simulated(store, "real", 3, task={"name": "digits-noisy"}, horizon={"epochs": 30}, pruner=UNPRUNED)
            wait_until(lambda: get_study(store, "real").counts.leased, 90)
            submit_simulated(store, "outage", 24, pruner=UNPRUNED)
            wait_until(lambda: get_study(store, "outage").counts.ended >= 6, 60)

            server.stop("immediate")
            server.start()
            for name in ("outage", "real"):
                run_through(made, store, name, 120, kill_every=None)

            assert_exact(store, "outage", 24)
            assert_every_report(store, "outage", 24)
            assert_exact(store, "real", 3)
            assert {trial.worker for trial in list_trials(store, "real").items} == {"real"}
            assert made.died() == []
            store.close()
    finally:
        server.remove()


def test_a_worker_frozen_beyond_its_lease_lives_on(postgres_url: str, tmp_path: Path) -> None:
    """SIGSTOP beyond the lease: another worker takes the trial, the late report is refused, each is counted once."""
    with crowd(postgres_url, tmp_path) as made:
        store = open_store(postgres_url)
        add_service(made)
        add_workers(made, 1, pause=0.2)
        submit_simulated(store, "frozen", 6)
        wait_until(lambda: get_study(store, "frozen").counts.leased, 60)
        frozen = made.processes[-1]
        frozen.send_signal(signal.SIGSTOP)
        add_workers(made, 1)
        wait_until(lambda: any(trial.attempts for trial in list_trials(store, "frozen").items), 60)

        frozen.send_signal(signal.SIGCONT)
        run_through(made, store, "frozen", 60, kill_every=None)

        assert_exact(store, "frozen", 6)
        assert made.died() == []
        assert max(trial.attempts for trial in list_trials(store, "frozen").items) == 1
        store.close()
