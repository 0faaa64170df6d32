"""A fleet of real processes on one store, one of them killed: what `tests/soak/test_ray.py` shows on a cluster."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from search_spaces.log import bind
from search_spaces.space import resolve_space
from search_spaces.study import resolve_study
from search_spaces.work import Announcement
from store import open_store
from store.backlog import backlog
from store.studies import submit
from store.trials import list_trials
from store.workers import announce
from tests.chaos import assert_every_report
from tests.machine import until
from tests.simulated import OFFER
from tests.studies import add_proposals, stock_trials, study_spec
from workers.fleet import Fleet, Size
from workers.launchers.host import Host
from workers.timing import Stop

TRIALS = 10
LEASE_SECONDS = 2.0


class Processes:
    """A launcher of workers that train nothing."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.hosts: list[Host] = []

    def start(self, name: str, flags: Sequence[str]) -> Host:
        idle = flags[flags.index("--drain") + 1]
        words = ["--database", self._url, "--name", name, "--idle", idle, "--pause", "0.05", "--lease-seconds"]
        self.hosts.append(Host([sys.executable, "-m", "tests.simulated", *words, str(LEASE_SECONDS)]))
        return self.hosts[-1]

    def close(self) -> None:
        """Nothing is held."""


def test_a_killed_worker_is_replaced_and_nothing_is_lost(sqlite_template: Path, tmp_path: Path) -> None:
    """kill -9 of a worker in its trial: the fleet starts another, the budget is exact, every report is there, and all
    end by themselves when nothing is left."""
    file = tmp_path / "etude.db"
    file.write_bytes(sqlite_template.read_bytes())
    store = open_store(f"sqlite:///{file}", lease_seconds=LEASE_SECONDS)
    announce(store, "before", Announcement(slots=1, tasks=[OFFER]))
    spec = study_spec(task={"name": OFFER.name}, budget={"trials": TRIALS}, pruner={"kind": "none"})
    submit(store, spec, resolved=resolve_study(spec, OFFER), space=resolve_space(spec.space, TRIALS))
    add_proposals(store, count=TRIALS)
    processes, stop = Processes(store.url), Stop(30.0)
    fleet = Fleet(
        "f", processes, Size(0, 2, idle_seconds=3.0), lambda: backlog(store, [OFFER.name]), stop, bind("test"),
        drain=0.1, scale_seconds=0.2,
    )  # fmt: skip
    thread = threading.Thread(target=fleet.work)
    thread.start()
    try:
        until(lambda: list_trials(store, "mine", state="leased").items, 60)
        os.kill(processes.hosts[0].pid, signal.SIGKILL)
        thread.join(120)
        ended = not thread.is_alive()
    finally:
        stop.ask()
        thread.join(60)

    rows = stock_trials(store.url)
    assert ended
    assert [row.state.name for row in rows] == ["COMPLETE"] * TRIALS
    assert_every_report(store, "mine", TRIALS)
    assert len(processes.hosts) >= 3
    assert processes.hosts[0].status() == -signal.SIGKILL
    assert all(host.status() is not None for host in processes.hosts)
    store.close()
