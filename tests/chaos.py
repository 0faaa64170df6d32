"""Many processes on one store, some of them killed at every moment: what the soak and acceptance tests share.

Workers are `tests.simulated` (they train nothing), coordinators and API servers are the real ones.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from etude.ports import is_listening
from search_spaces.problems import StoreUnavailable
from search_spaces.results import StudyView
from search_spaces.study import StudySpec
from store import Store, open_store
from store.studies import get_study, submit
from store.trials import get_trial
from tests.dying import die_with_parent
from tests.machine import ROOT
from tests.postgres import free_port
from tests.simulated import OFFER, REPORT_STEPS
from tests.studies import stock_trials

LEASE_SECONDS = 3.0
FEWEST_ENDED, MOST_ENDED = 4, 8
"""Trials that end between two kills, however long or short a time they take."""
LAST_LINES = 30


@dataclass
class Crowd:
    """The processes on one store; every one that was killed is started again."""

    url: str
    logs: Path
    dice: random.Random
    commands: list[list[str]] = field(default_factory=list)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    environ: dict[str, str] = field(default_factory=dict)
    kills: int = 0
    at_birth: Callable[[], None] = die_with_parent
    """Called in each process before it becomes a program."""
    _gone: set[int] = field(default_factory=set)

    def add(self, *command: str) -> None:
        """Start `python -m command...` and remember how."""
        self.commands.append(list(command))
        self.processes.append(self._start(len(self.commands) - 1))

    def _start(self, place: int) -> subprocess.Popen[bytes]:
        environ = os.environ | {
            "ETUDE_DATABASE_URL": self.url,
            "ETUDE_LEASE_SECONDS": str(LEASE_SECONDS),
            "OMP_NUM_THREADS": "1",
            **self.environ,
        }
        with (self.logs / f"{place}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", *self.commands[place]],
                cwd=ROOT,
                env=environ,
                stdout=log,
                stderr=log,
                preexec_fn=self.at_birth,  # noqa: PLW1509 - one system call, no Python locks
            )

    def kill_one(self) -> None:
        """Kill -9 one process at random, a service once in eight times, and start its successor."""
        services = [place for place, command in enumerate(self.commands) if command[0] == "service"]
        workers = [place for place in range(len(self.commands)) if place not in services]
        place = self.dice.choice(services if self.dice.random() < 1 / 8 else workers)
        self.processes[place].kill()
        self.processes[place].wait()
        self.kills += 1
        self.processes[place] = self._start(place)

    def died(self) -> list[str]:
        """What ended by itself with an error, with the end of its log."""
        return [
            f"{' '.join(self.commands[place])}: {process.returncode}\n{self._tail(place)}"
            for place, process in enumerate(self.processes)
            if place not in self._gone and process.poll() not in (None, 0)
        ]

    def _tail(self, place: int) -> str:
        lines = (self.logs / f"{place}.log").read_text(errors="replace").splitlines()
        return "\n".join(lines[-LAST_LINES:])

    def kill(self, place: int) -> None:
        """Kill -9 the process in this place for good."""
        self._gone.add(place)
        self.processes[place].kill()
        self.processes[place].wait()

    def end(self) -> None:
        """Kill every process that was started here."""
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()


@contextmanager
def crowd(url: str, logs: Path, **environ: str) -> Iterator[Crowd]:
    """An empty crowd on a store, with `environ` over its environment, whose processes end with the block."""
    open_store(url).close()
    made = Crowd(url, logs, random.Random(0), environ=environ)
    try:
        yield made
    finally:
        made.end()


def add_service(made: Crowd, *only: str) -> str:
    """Start an API with its coordinator (or `--only api`) and return its address once it answers."""
    port = free_port()
    made.add("service", "--port", str(port), *only)
    address = f"http://127.0.0.1:{port}"
    wait_until(lambda: is_listening(("127.0.0.1", port)) and _answers(address), 60)
    return address


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/healthz", timeout=2, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def add_workers(made: Crowd, count: int, *, http: str | None = None, pause: float = 0.01, idle: float = 60) -> None:
    """Start simulated workers over SQL, or over HTTP at an address."""
    way = ["--url", http] if http else ["--database", made.url]
    for _ in range(count):
        name = f"w{len(made.commands)}"
        lease = ["--lease-seconds", str(LEASE_SECONDS)]
        made.add("tests.simulated", *way, "--name", name, "--pause", str(pause), "--idle", str(idle), *lease)


def submit_simulated(store: Store, name: str, trials: int, **fields: object) -> None:
    """Queue a study of the simulated task; a coordinator starts it when a worker has offered it."""
    body: dict[str, object] = {
        "name": name,
        "task": {"name": OFFER.name},
        "budget": {"trials": trials},
        "confirmation": {"top": 1, "seeds": 2, "baselines": ["sgd-cosine"]},
        "sampler": {"kind": "random"},
    }
    submit(store, StudySpec.model_validate(body | fields), resolved=None, space=None)


def wait_until(reached: Callable[[], object], seconds: float) -> None:
    """Wait for something that other processes do."""
    give_up = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < give_up, "it did not come in time"
        time.sleep(0.1)


def run_through(made: Crowd, store: Store, name: str, seconds: float, *, kill_every: float | None = 1.0) -> None:
    """Wait for the study's end, killing a process every so many seconds, or trials, meanwhile.

    A machine that starts processes more slowly than they are killed would show nothing but starts, and on a fast one
    a study would be over after few kills: so the number of kills is bounded on both sides by that of trials.
    """
    give_up = time.monotonic() + seconds
    killed_at, ended_at_kill = time.monotonic(), 0
    while (view := read_study(store, name, give_up)).state not in ("done", "failed", "stopped"):
        assert time.monotonic() < give_up, f"{view.counts} after {made.kills} kills"
        ended = view.counts.ended + view.confirmation.ended
        if kill_every is not None and _kill_is_due(time.monotonic() - killed_at, ended - ended_at_kill, kill_every):
            made.kill_one()
            killed_at, ended_at_kill = time.monotonic(), ended
        time.sleep(0.1)


def _kill_is_due(seconds: float, ended: int, kill_every: float) -> bool:
    return ended >= MOST_ENDED or (ended >= FEWEST_ENDED and seconds >= kill_every)


def wait_for_ended(store: Store, name: str, ended: int, seconds: float) -> StudyView:
    """Wait until so many trials of a study have ended, through an outage of the database as well; return the study."""
    give_up = time.monotonic() + seconds
    while (view := read_study(store, name, give_up)).counts.ended < ended:
        assert time.monotonic() < give_up, f"{view.counts}, and no {ended} ended in {seconds} s"
        time.sleep(0.1)
    return view


def read_study(store: Store, name: str, give_up: float) -> StudyView:
    """Return a study; a connection of ours may have ended with the server and say so once."""
    while True:
        try:
            return get_study(store, name)
        except StoreUnavailable:
            assert time.monotonic() < give_up, "the store stays away"
            time.sleep(0.1)


def assert_exact(store: Store, name: str, trials: int, *, foreign: int = 0) -> None:
    """The budget, to the trial: in our counts, in the rows, and as stock Optuna reads them."""
    view = get_study(store, name)
    assert view.state == "done", view.reason
    assert view.counts.complete + view.counts.pruned + view.counts.failed == trials
    assert (view.counts.proposed, view.counts.leased, view.counts.stopped) == (0, 0, 0)
    assert view.counts.foreign == foreign
    rows = stock_trials(store.url, name)
    assert [row.number for row in rows] == list(range(trials + foreign))
    assert all(row.state.is_finished() for row in rows)
    names = {"complete": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL"}
    for state, theirs in names.items():
        ours = getattr(view.counts, state) + (foreign if state == "complete" else 0)
        assert sum(row.state.name == theirs for row in rows) == ours, state


def assert_every_report(store: Store, name: str, trials: int) -> None:
    """Each trial's curve holds all that its worker reported, and so every report that was acknowledged."""
    steps = list(range(REPORT_STEPS, 101, REPORT_STEPS))
    for number in range(trials):
        assert [point.step for point in get_trial(store, name, number).curve or []] == steps
