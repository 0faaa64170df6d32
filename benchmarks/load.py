"""Many workers on the service: `taskset -c 0 python -m benchmarks.load` (everything on one core).

A PostgreSQL, the API and simulated workers that report once a second over HTTP, with thousands of finished trials
in the study already. Prints reports/s against what was offered, latencies of report and claim, errors, and meanwhile
the latency of what a page reads: the study, the answer, the first page of trials.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import httpx

from benchmarks.coordination import train_nothing
from etude.work import HttpVerbs
from search_spaces.problems import Problem
from store import open_store
from store.verbs import SqlVerbs
from tests.postgres import Postgres, free_port
from tests.studies import add_proposals, claim, finish, report, report_item, run_study

REPORTS = 20
Made = TypeVar("Made")


@dataclass
class Seen:
    """Latencies in milliseconds by what was asked, and errors."""

    latencies: dict[str, list[float]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    measuring: bool = False

    def timed(self, name: str, act: Callable[[], Made]) -> Made | None:
        """Do it, and keep how long it took while measuring."""
        began = time.perf_counter()
        try:
            return act()
        except Problem as problem:
            self.errors.append(f"{name}: {problem}")
            return None
        finally:
            if self.measuring:
                self.latencies.setdefault(name, []).append(1000 * (time.perf_counter() - began))


def simulated(url: str, name: str, seen: Seen, stop: threading.Event, pace: float, delay: float) -> None:
    """Claim, report every `pace` seconds, finish, again."""
    verbs = HttpVerbs(url)
    stop.wait(delay)
    while not stop.is_set():
        claimed = seen.timed("claim", lambda: claim(verbs, worker=name))
        if not claimed:
            stop.wait(0.5)
            continue
        trial = claimed[0]
        for step in range(5, 5 * REPORTS + 1, 5):
            if stop.wait(pace):
                break
            item = report_item(trial, (step, 1.0))
            seen.timed("report", lambda item=item: report(verbs, item, worker=name))
        else:
            seen.timed("finish", lambda trial=trial: finish(verbs, trial))
    verbs.close()


def reading(url: str, seen: Seen, stop: threading.Event) -> None:
    """Ask for what a page shows, five times a second."""
    with httpx.Client(base_url=url, timeout=30) as client:
        while not stop.wait(0.2):
            for name, path in (("study", ""), ("best", "/best"), ("trials", "/trials?limit=50")):
                seen.timed(f"GET {name}", lambda path=path: client.get(f"/v1/studies/mine{path}").raise_for_status())


def quantile(values: list[float], share: float) -> float:
    """The value below which `share` of them lie."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else float("nan")


def main() -> None:
    """Start everything, wait for the pace to settle, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=128)
    parser.add_argument("--finished", type=int, default=5000)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--pace", type=float, default=1.0)
    given = parser.parse_args()
    server = Postgres()
    port = free_port()
    service = None
    try:
        prepare(server.url(), given.finished, given.workers)
        environ = os.environ | {"ETUDE_DATABASE_URL": server.url()}
        root = Path(__file__).resolve().parents[1]
        command = [sys.executable, "-m", "service", "--only", "api", "--port", str(port)]
        service = subprocess.Popen(command, cwd=root, env=environ, stdout=subprocess.DEVNULL)
        measure(f"http://127.0.0.1:{port}", given.workers, given.seconds, given.pace, given.finished)
    finally:
        if service is not None:
            service.terminate()
            service.wait()
        server.remove()


def prepare(url: str, finished: int, workers: int) -> None:
    """A study with so many finished trials and enough proposals for the measurement."""
    store = open_store(url, pool_size=1)
    run_study(store, budget={"trials": 90_000})
    verbs = SqlVerbs(store)
    made = 0
    while made < finished:
        size = min(200, finished - made)
        add_proposals(store, count=size, first=made, prunable=False)
        train_nothing(verbs, size, "filler")
        made += size
    add_proposals(store, count=10 * workers, first=made, prunable=False)
    store.close()


def measure(url: str, workers: int, seconds: float, pace: float, finished: int) -> None:
    """Run the crowd and print its row."""
    seen, stop = Seen(), threading.Event()
    wait_ready(url)
    crowd = [
        threading.Thread(target=simulated, args=(url, f"w{n}", seen, stop, pace, n * pace / workers))
        for n in range(workers)
    ]
    crowd.append(threading.Thread(target=reading, args=(url, seen, stop)))
    for thread in crowd:
        thread.start()
    time.sleep(5)
    seen.measuring = True
    time.sleep(seconds)
    seen.measuring = False
    stop.set()
    for thread in crowd:
        thread.join()
    reports = seen.latencies.get("report", [])
    print(f"{workers} workers, a report every {pace} s, {finished} finished trials, {seconds:.0f} s measured")
    print(f"reports/s {len(reports) / seconds:.1f} of {workers / pace:.0f} offered, errors {len(seen.errors)}")
    print("| what | n | p50 ms | p95 ms | p99 ms |\n|---|---|---|---|---|")
    for name, values in sorted(seen.latencies.items()):
        middle = statistics.median(values)
        print(
            f"| {name} | {len(values)} | {middle:.1f} | {quantile(values, 0.95):.1f} | {quantile(values, 0.99):.1f} |"
        )
    for error in seen.errors[:3]:
        print(error)


def wait_ready(url: str) -> None:
    """Wait until the service answers."""
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up:
        try:
            if httpx.get(f"{url}/readyz", timeout=2).status_code == httpx.codes.OK:
                return
        except httpx.HTTPError:
            time.sleep(0.2)
    raise TimeoutError("the service did not start")


if __name__ == "__main__":
    main()
