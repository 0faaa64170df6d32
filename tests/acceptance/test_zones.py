"""Workers and coordinators whose clocks are set to other zones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from store import open_store
from store.studies import get_study
from store.trials import list_trials
from tests.chaos import (
    add_service,
    add_workers,
    assert_exact,
    crowd,
    run_through,
    submit_simulated,
    wait_until,
)
from tests.studies import stock_trials

ELSEWHERE = {"TZ": "Pacific/Auckland", "PGTZ": "America/New_York"}
TRIALS = 12


def test_other_zones_change_nothing(postgres_url: str, tmp_path: Path) -> None:
    """With TZ and PGTZ elsewhere: the lease of a killed worker ends when it should, and no other; times are UTC."""
    begun = datetime.now(UTC) - timedelta(seconds=1)
    with crowd(postgres_url, tmp_path, **ELSEWHERE) as made:
        store = open_store(postgres_url)
        add_service(made)
        add_workers(made, 1, pause=0.2)
        submit_simulated(store, "zones", TRIALS, pruner={"kind": "none"})
        wait_until(lambda: get_study(store, "zones").counts.leased, 60)
        made.kill(len(made.processes) - 1)
        add_workers(made, 1)
        made.environ = {"TZ": "UTC", "PGTZ": "UTC"}
        add_workers(made, 1)

        run_through(made, store, "zones", 90, kill_every=None)

        assert made.died() == []
    ended = datetime.now(UTC) + timedelta(seconds=1)
    assert_exact(store, "zones", TRIALS)
    trials = list_trials(store, "zones").items
    assert sorted(trial.attempts for trial in trials) == [0] * (TRIALS - 1) + [1]
    assert {trial.worker for trial in trials} <= {"w2", "w3"}
    assert all(begun <= (trial.claimed_at or begun) <= (trial.finished_at or ended) <= ended for trial in trials)
    assert [trial.value for trial in trials] == [row.value for row in stock_trials(postgres_url, "zones")]
    for row in stock_trials(postgres_url, "zones"):
        assert row.datetime_start is not None
        assert begun <= row.datetime_start.replace(tzinfo=UTC) <= ended
    store.close()
