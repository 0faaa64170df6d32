"""Machines that share a directory and no database, as plain processes: one serves, another goes on when it dies."""

from __future__ import annotations

import signal
from pathlib import Path

from store import open_store
from store.copies import put_copy
from tests.chaos import assert_every_report, assert_exact
from tests.machine import until
from tests.shared_machines import machines, simulated_worker

TRIALS = 8
FIELDS = {
    "task": "simulated", "trials": TRIALS, "sampler": {"kind": "random"}, "pruner": {"kind": "none"},
    "confirmation": {"top": 1, "seeds": 2, "baselines": ["sgd-cosine"]},
}  # fmt: skip


def test_another_machine_goes_on_when_the_one_that_serves_is_lost(tmp_path: Path) -> None:
    """The head and its disk are lost in the middle: the next goes on from the copy, the worker follows it and never
    stops; the budget is exact, every report is there, and what the last head leaves is whole."""
    with machines(tmp_path) as array:
        array.start(ETUDE_WORKERS="0")
        with array.serving(1) as client, simulated_worker(array.shared, "w", pause=0.05):
            until(lambda: client.list() is not None and any(client.workers()), 60)
            study = client.submit(name="array", **FIELDS)
            until(lambda: study.view().counts.ended >= 3, 60)
            array.start(ETUDE_WORKERS="0")
            until(lambda: "head  " in array.log(1).read_text(), 60)

            array.kill_node(0)

            with array.serving(2) as after:
                until(lambda: after.study("array").view().state == "done", 120)
                modes = [file.stat().st_mode & 0o777 for file in (array.shared.admin_token, array.shared.work_token)]
        second = array.tasks[1]
        second.send_signal(signal.SIGTERM)
        said = array.log(1)
        until(lambda: second.poll() is not None, 90)
        head = array.shared.head()

    assert second.returncode == 0, said.read_text()
    assert head is not None
    assert (head.generation, head.ended) == (2, "stopped")
    assert modes == [0o600, 0o600]
    url = f"sqlite:///{tmp_path / 'left.db'}"
    put_copy(array.shared.copies / "00000002.db", url)
    store = open_store(url)
    assert_exact(store, "array", TRIALS)
    assert_every_report(store, "array", TRIALS)
    store.close()
