"""Many workers at once: `taskset -c 1 python -m benchmarks.load --way http` (everything on one core).

A PostgreSQL, the service (API and coordinator) and simulated workers, with thousands of finished trials in the study
already. The workers are threads of this process; each has a name, leases and a connection of its own, speaks the same
verbs as a real one (over SQL or HTTP), announces itself every 10 s and obeys prunes. Paced, a worker reports
once a second, at a phase of its own; flat out, as soon as the last report is answered. The paced study is sampled by
TPE, as studies are by default; the one of the flat-out rows evenly, since there the sampler would be what is measured.
Latencies are a worker's, from call to answer; CPU is what the kernel accounts to each part.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from operator import methodcaller
from pathlib import Path
from typing import Literal

import httpx
import psycopg
import sqlalchemy

from benchmarks.coordination import BUDGET, SEEDS, STEPS, train_nothing
from benchmarks.crowd import Seen, Wire, Worker
from benchmarks.filling import multiply
from search_spaces.work import Announcement, Verbs
from store import open_store
from store.studies import disown
from store.verbs import SqlVerbs
from tests.postgres import Postgres, free_port
from tests.studies import OFFER, add_proposals, run_study

Way = Literal["sql", "http"]
WARM_UP_SECONDS = 5.0
"""Beside the time of one trial, over which the workers begin: so that claims come one by one, as in a long search."""


def main() -> None:
    """Start everything, and print a row for each number of workers, paced and flat out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--way", choices=["sql", "http"], default="http")
    parser.add_argument("--workers", type=int, nargs="+", default=[2, 8, 32, 128])
    parser.add_argument("--paces", type=float, nargs="+", default=[1.0, 0.0], help="seconds between reports")
    parser.add_argument("--finished", type=int, default=5000)
    parser.add_argument("--seconds", type=float, default=10, help="length of a window")
    parser.add_argument("--windows", type=int, default=3)
    given = parser.parse_args()
    server = Postgres()
    try:
        _say_versions(server)
        prepare(server.url(), given.finished)
        with serving(server.url()) as (service, url):
            address = url if given.way == "http" else server.url()
            coordinator = wait_child(service)
            parts = {"API": [service], "coordinator": [coordinator], "PostgreSQL": [_postmaster(server)]}
            print(f"| way | workers | reports | offered/s | reports/s | report p50 / p99 ms | claim p50 / p99 ms"
                  f" | trials/s | errors | CPU ms a report: workers{''.join(f' / {part}' for part in parts)} | core |\n"
                  + "|---" * 11 + "|")  # fmt: skip
            for pace in given.paces:
                for workers in given.workers:
                    crowd = Crowd(given.way, address, workers, pace, parts)
                    print(crowd.measure(given.windows, given.seconds), flush=True)
    finally:
        server.remove()


def _say_versions(server: Postgres) -> None:
    with psycopg.connect(server.url().replace("+psycopg", "")) as connection:
        version = connection.info.server_version
    print(f"PostgreSQL {version // 10_000}.{version % 10_000}, Python {platform.python_version()},"
          f" SQLAlchemy {sqlalchemy.__version__}, psycopg {psycopg.__version__},"
          f" on core(s) {sorted(os.sched_getaffinity(0))}")  # fmt: skip


def prepare(url: str, finished: int) -> None:
    """Make the studies `paced` and `flat`, each with so many finished trials."""
    store = open_store(url, pool_size=1)
    verbs = SqlVerbs(store)
    verbs.announce("w0", Announcement(tasks=[OFFER]))
    for name, kind in (("paced", "tpe"), ("flat", "random")):
        run_study(store, name, budget=BUDGET, sampler={"kind": kind})
        add_proposals(store, name, count=SEEDS, prunable=False)
        train_nothing(verbs, SEEDS, "filler", study=name)
    disown(store, "tests")  # so that the coordinator need not wait for it
    verbs.close()
    for name in ("paced", "flat"):
        multiply(url, name, finished)


@contextmanager
def serving(database_url: str) -> Iterator[tuple[int, str]]:
    """The service as users start it; its process and its address."""
    port = free_port()
    service = subprocess.Popen(
        [sys.executable, "-m", "service", "--port", str(port)],
        cwd=Path(__file__).resolve().parents[1],
        env=os.environ | {"ETUDE_DATABASE_URL": database_url},
        stdout=subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_ready(url)
        yield service.pid, url
    finally:
        service.terminate()
        service.wait()


def _wait_ready(url: str) -> None:
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up:
        try:
            if httpx.get(f"{url}/readyz", timeout=2).status_code == httpx.codes.OK:
                return
        except httpx.HTTPError:
            time.sleep(0.2)
    raise TimeoutError("the service did not start")


class Crowd:
    """So many workers at one pace, measured in windows."""

    def __init__(self, way: Way, address: str, workers: int, pace: float, parts: dict[str, list[int]]) -> None:
        self.way, self.address, self.size, self.pace, self.parts = way, address, workers, pace, parts
        self.seen = Seen()

    def measure(self, windows: int, seconds: float) -> str:
        """Let the workers work, and return their row: medians over the windows."""
        stop = threading.Event()
        phases = random.Random(self.size)
        spread = len(STEPS) * self.pace or 1.0
        study = "paced" if self.pace else "flat"
        threads = []
        for place in range(self.size):
            worker = Worker(self._verbs(), f"w{place}", study, self.pace, self.seen, stop)
            threads.append(threading.Thread(target=worker.work, args=(phases.uniform(0, spread),)))
        for thread in threads:
            thread.start()
        time.sleep(spread + WARM_UP_SECONDS)
        marks = [self._mark()]
        for _ in range(windows):
            time.sleep(seconds)
            marks.append(self._mark())
        stop.set()
        for thread in threads:
            thread.join()
        return self._row([Window(self.seen, first, last) for first, last in pairwise(marks)])

    def _verbs(self) -> Verbs:
        if self.way == "http":
            return Wire(self.address)
        return SqlVerbs(open_store(self.address, pool_size=1, upgrade=False, keeps_plans=True))

    def _mark(self) -> Mark:
        cpu = {part: sum(cpu_seconds(process) for process in found) for part, found in self.parts.items()}
        return Mark(time.perf_counter(), {"workers": time.process_time(), **cpu})

    def _row(self, windows: Sequence[Window]) -> str:
        def middle(of: Callable[[Window], float]) -> float:
            return statistics.median(of(window) for window in windows)

        def latency(verb: str) -> str:
            p99 = [window.quantile(verb, 0.99) for window in windows]
            return f"{middle(lambda w: w.quantile(verb, 0.5)):.1f} / {statistics.median(p99):.1f} [-{max(p99):.1f}]"

        rates = [window.rate("report") for window in windows]
        cpu = " / ".join(f"{middle(methodcaller('cpu_ms', part)):.2f}" for part in ("workers", *self.parts))
        offered = f"{self.size / self.pace:.0f}" if self.pace else "flat out"
        return (
            f"| {self.way} | {self.size} | {sum(window.count('report') for window in windows)} | {offered}"
            f" | {statistics.median(rates):.1f} [{min(rates):.1f}-{max(rates):.1f}]"
            f" | {latency('report')} | {latency('claim')} | {middle(lambda w: w.rate('claim') - w.rate('idle')):.1f}"
            f" | {sum(window.errors for window in windows)} | {cpu} | {100 * middle(lambda w: w.core()):.0f} % |"
        )


@dataclass(frozen=True)
class Mark:
    """A moment, with the CPU seconds that each part had used."""

    at: float
    cpu: dict[str, float]


class Window:
    """What was seen between two marks."""

    def __init__(self, seen: Seen, first: Mark, last: Mark) -> None:
        self.seconds = last.at - first.at
        self.errors = sum(first.at <= at < last.at for at, _ in seen.errors)
        self._latencies: dict[str, list[float]] = {}
        for verb, at, milliseconds in seen.calls:
            if first.at <= at < last.at:
                self._latencies.setdefault(verb, []).append(milliseconds)
        self._cpu = {part: last.cpu[part] - used for part, used in first.cpu.items()}

    def count(self, verb: str) -> int:
        """Calls answered."""
        return len(self._latencies.get(verb, []))

    def rate(self, verb: str) -> float:
        """Calls answered in a second."""
        return self.count(verb) / self.seconds

    def quantile(self, verb: str, share: float) -> float:
        """The latency below which `share` of the calls lie, in milliseconds."""
        ordered = sorted(self._latencies.get(verb, []))
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")

    def cpu_ms(self, part: str) -> float:
        """CPU milliseconds that a part used, by the reports."""
        return 1000 * self._cpu[part] / max(1, self.count("report"))

    def core(self) -> float:
        """Share of one core that all parts used together."""
        return sum(self._cpu.values()) / self.seconds


# Processes


def cpu_seconds(process: int) -> float:
    """CPU seconds of a process and, when it is PostgreSQL's first one, of its children, gone ones included."""
    ticks = _stat(process)[11:15] if _is_postmaster(process) else _stat(process)[11:13]
    used = sum(int(tick) for tick in ticks) / os.sysconf("SC_CLK_TCK")
    return used + (sum(cpu_seconds(child) for child in children(process)) if _is_postmaster(process) else 0.0)


def _is_postmaster(process: int) -> bool:
    return b"-D" in Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")


def wait_child(process: int) -> int:
    """Wait until `process` has started its one child."""
    give_up = time.monotonic() + 30
    while not (found := children(process)):
        if time.monotonic() > give_up:
            raise TimeoutError("the coordinator did not start")
        time.sleep(0.1)
    return found[0]


def _stat(process: int) -> list[str]:
    """The fields of /proc/PID/stat after the name, which may hold blanks."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()


def children(process: int) -> list[int]:
    """Processes that threads of `process` have started and that live."""
    lists = Path(f"/proc/{process}/task").glob("*/children")
    return [int(child) for found in lists for child in found.read_text().split()]


def _postmaster(server: Postgres) -> int:
    return int((server.data / "postmaster.pid").read_text().splitlines()[0])


if __name__ == "__main__":
    main()
