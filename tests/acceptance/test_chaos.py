"""Small forms of the soak tests: the budget is exact whatever dies."""

from __future__ import annotations

import threading
from pathlib import Path

import optuna

from store import open_store
from tests.chaos import (
    add_service,
    add_workers,
    assert_exact,
    crowd,
    run_through,
    submit_simulated,
)
from tests.postgres import Postgres
from tests.studies import stock_storage


def test_an_exact_budget_on_postgresql_while_everything_is_killed(postgres_url: str, tmp_path: Path) -> None:
    """Workers over SQL and over HTTP, two services with coordinators, a kill -9 every half second, a stock user."""
    with crowd(postgres_url, tmp_path) as made:
        store = open_store(postgres_url)
        address = add_service(made)
        add_service(made)
        add_workers(made, 2)
        add_workers(made, 2, http=address)
        submit_simulated(store, "chaos", 60)
        stranger = threading.Thread(target=add_foreign, args=(postgres_url, "chaos", 5))
        stranger.start()

        run_through(made, store, "chaos", 150, kill_every=0.5)

        stranger.join()
        assert_exact(store, "chaos", 60, foreign=5)
        assert made.kills >= 5
        store.close()


def add_foreign(url: str, name: str, count: int) -> None:
    """Add trials as stock Optuna does, one after the other, once the study exists."""
    with stock_storage(url) as storage:
        while True:
            try:
                study = optuna.load_study(study_name=name, storage=storage)
            except KeyError:
                threading.Event().wait(0.1)
            else:
                break
        study.optimize(lambda trial: 50 + trial.suggest_float("theirs", 0, 1), n_trials=count)


def test_an_exact_budget_on_sqlite(sqlite_url: str, tmp_path: Path) -> None:
    """The same on the embedded store, workers killed every half second."""
    with crowd(sqlite_url, tmp_path) as made:
        store = open_store(sqlite_url)
        add_service(made)
        add_workers(made, 3)
        submit_simulated(store, "chaos", 40)

        run_through(made, store, "chaos", 120, kill_every=0.5)

        assert_exact(store, "chaos", 40)
        store.close()


def test_postgresql_restarted_in_the_middle(tmp_path: Path) -> None:
    """The server is stopped at once and started again while a study runs: nobody dies, the budget is exact."""
    server = Postgres()
    try:
        with crowd(server.url(), tmp_path) as made:
            store = open_store(server.url())
            add_service(made)
            add_workers(made, 3, pause=0.02)
            submit_simulated(store, "outage", 40)
            run_until_some(store, "outage", 10)

            server.stop("immediate")
            server.start()
            run_through(made, store, "outage", 120, kill_every=None)

            assert_exact(store, "outage", 40)
            assert made.died() == []
            store.close()
    finally:
        server.remove()


def run_until_some(store: object, name: str, ended: int) -> None:
    """Wait until a few trials have ended."""
    from store import Store
    from store.studies import get_study
    from tests.chaos import wait_until

    assert isinstance(store, Store)
    wait_until(lambda: get_study(store, name).counts.ended >= ended, 60)
