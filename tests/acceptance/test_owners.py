"""Several APIs and several coordinators on one store."""

from __future__ import annotations

import time
from pathlib import Path

from sqlalchemy import text

from store import Store, open_store
from store.studies import get_study
from tests.chaos import add_service, add_workers, assert_exact, crowd, run_through, submit_simulated, wait_until

PROMISED_SECONDS = 10.0


def owner_of(store: Store, name: str) -> str:
    """The coordinator that proposes for the study: `host-pid-random`; empty while there is none."""
    with store.read() as connection:
        found = connection.execute(text("SELECT owner FROM etude_studies WHERE name = :name"), {"name": name})
        return found.scalar() or ""


def test_the_studies_of_a_killed_owner_move_within_ten_seconds(postgres_url: str, tmp_path: Path) -> None:
    """Two APIs, two coordinators, kill -9 of the one that owns the study: another goes on, the budget is exact."""
    with crowd(postgres_url, tmp_path) as made:
        store = open_store(postgres_url)
        address = add_service(made, "--only", "api")
        other = add_service(made, "--only", "api")
        for _ in range(2):
            made.add("service", "--only", "coordinator")
        add_workers(made, 1, http=address, pause=0.05)
        add_workers(made, 1, http=other, pause=0.05)
        submit_simulated(store, "owned", 10)
        wait_until(lambda: get_study(store, "owned").counts.ended >= 2, 90)
        owner = owner_of(store, "owned")
        place = [process.pid for process in made.processes].index(int(owner.split("-")[-2]))

        made.kill(place)
        begun = time.monotonic()
        wait_until(lambda: owner_of(store, "owned") not in ("", owner), 60)
        moved_after = time.monotonic() - begun
        run_through(made, store, "owned", 120, kill_every=None)

        assert moved_after <= PROMISED_SECONDS
        assert_exact(store, "owned", 10)
        assert made.died() == []
        store.close()
