"""Workers and coordinators whose clocks are set to other zones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from search_spaces.results import TrialView
from store import Store, open_store
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


def run_study(store: Store, logs: Path, name: str, **environ: str) -> list[TrialView]:
    """Run one study with processes of its own, one worker killed in a trial, and return its trials."""
    with crowd(store.url, logs, **environ) as made:
        add_service(made)
        add_workers(made, 1, pause=0.2)
        submit_simulated(store, name, TRIALS, pruner={"kind": "none"})
        wait_until(lambda: get_study(store, name).counts.leased, 60)
        made.kill(len(made.processes) - 1)
        add_workers(made, 2)
        run_through(made, store, name, 90, kill_every=None)
        assert made.died() == []
    assert_exact(store, name, TRIALS)
    return list_trials(store, name, limit=TRIALS).items


def test_other_zones_change_nothing(postgres_url: str, tmp_path: Path) -> None:
    """With TZ and PGTZ elsewhere: the same candidates and values, leases of the same length, times in UTC."""
    store = open_store(postgres_url)
    begun = datetime.now(UTC) - timedelta(seconds=1)

    here = run_study(store, tmp_path, "here", TZ="UTC", PGTZ="UTC")
    there = run_study(store, tmp_path, "there", **ELSEWHERE)

    ended = datetime.now(UTC) + timedelta(seconds=1)
    outcomes = [sorted((str(trial.candidate), trial.value) for trial in trials) for trials in (here, there)]
    assert outcomes[0] == outcomes[1]
    for trials in (here, there):
        assert sorted(trial.attempts for trial in trials) == [0] * (TRIALS - 1) + [1]
        assert all(begun <= (trial.claimed_at or begun) <= (trial.finished_at or ended) <= ended for trial in trials)
    for row in stock_trials(postgres_url, "there"):
        assert row.datetime_start is not None
        assert begun <= row.datetime_start.replace(tzinfo=UTC) <= ended
    store.close()
