"""How long the API's pages take while workers report: `taskset -c 0 python -m benchmarks.latency` (all on one core).

A PostgreSQL, the whole service (API and coordinator), workers that train nothing and report once a second over HTTP,
and a reader that asks for one page after the other. The study has 10,000 finished trials, with values at four rungs
and a curve each, and there are 1,000 other studies. Prints each route's p50, p95 and p99 in milliseconds, as the
reader's connection sees them: the median of three rounds.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import threading
import time
from contextlib import suppress
from multiprocessing.synchronize import Event
from pathlib import Path

import httpx
from sqlalchemy import text

from benchmarks.full_study import full_study
from etude.work import HttpVerbs
from search_spaces.problems import Problem
from search_spaces.work import Announcement, ClaimedTrial
from store import Store, open_store
from tests.postgres import Postgres, free_port
from tests.studies import OFFER, claim, finish, report, report_item

ROOT = Path(__file__).resolve().parents[1]
REPORTS = range(5, 101, 5)
ROUNDS = 3
SETTLE_SECONDS = 8.0
"""Until every worker holds a trial and the service's connections are open."""
ROUTES = {
    "GET study": "/v1/studies/mine",
    "GET best": "/v1/studies/mine/best",
    "GET trials, first page": "/v1/studies/mine/trials",
    "GET trials, last page": "/v1/studies/mine/trials?cursor={last}",
    "GET trials?state=complete": "/v1/studies/mine/trials?state=complete",
    "GET trials?state=failed": "/v1/studies/mine/trials?state=failed",
    "GET trials?purpose=confirmation": "/v1/studies/mine/trials?purpose=confirmation",
    "GET one trial": "/v1/studies/mine/trials/0",
    "GET studies, first page": "/v1/studies",
    "GET workers": "/v1/workers",
}


def main() -> None:
    """Start everything, measure, print, end everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=32)
    parser.add_argument("--finished", type=int, default=10_000)
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--requests", type=int, default=100, help="of each route in a round")
    parser.add_argument("--pause", type=float, default=0.03, help="seconds between two requests of the reader")
    given = parser.parse_args()
    server, port = Postgres(), free_port()
    service = None
    try:
        _prepare(server.url(), given.finished, given.studies)
        environment = os.environ | {"ETUDE_DATABASE_URL": server.url()}
        command = [sys.executable, "-m", "service", "--port", str(port)]
        service = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
        _print_head(given)
        _measure(f"http://127.0.0.1:{port}", given)
    finally:
        if service is not None:
            service.terminate()
            service.wait()
        server.remove()


def _prepare(url: str, finished: int, studies: int) -> None:
    """Fill the store: the study that is read, and others that are over."""
    store = open_store(url, pool_size=1)
    _add_ended_studies(store, studies)
    full_study(store, finished)
    store.close()


def _add_ended_studies(store: Store, count: int) -> None:
    full_study(store, 0, "other")
    with store.begin() as connection:
        changed = {"id": "1000 + n", "name": "s.name || n", "state": "'stopped'", "optuna_study_id": "NULL"}
        columns = connection.execute(
            text("SELECT column_name FROM information_schema.columns WHERE table_name = 'etude_studies'")
        ).scalars()
        values = {column: changed.get(column, f"s.{column}") for column in columns}
        connection.execute(
            text(
                f"""INSERT INTO etude_studies ({", ".join(values)}) SELECT {", ".join(values.values())}
                FROM etude_studies s, generate_series(1, :count) n"""
            ),
            {"count": count},
        )
        connection.execute(text("UPDATE etude_studies SET state = 'stopped'"))
        connection.execute(text("SELECT setval(pg_get_serial_sequence('etude_studies', 'id'), 100000)"))


def _print_head(given: argparse.Namespace) -> None:
    print(
        f"{given.finished} finished trials, {given.studies} other studies, {given.workers} workers with a report a"
        f" second each over HTTP; python {platform.python_version()};"
        f" {given.requests} requests of each route in each of {ROUNDS} rounds, medians of the rounds"
    )


def _measure(url: str, given: argparse.Namespace) -> None:
    """Let the crowd work and read meanwhile."""
    _wait_ready(url)
    context = multiprocessing.get_context("spawn")
    stop, sent = context.Event(), context.Value("i", 0)
    crowd = context.Process(target=_crowd, args=(url, given.workers, stop, sent))
    crowd.start()
    try:
        time.sleep(SETTLE_SECONDS)
        routes = {name: path.format(last=given.finished - 51) for name, path in ROUTES.items()}
        began, before = time.monotonic(), sent.value
        rounds = [_read(url, routes, given.requests, given.pause) for _ in range(ROUNDS)]
        rate = (sent.value - before) / (time.monotonic() - began)
    finally:
        stop.set()
        crowd.join()
    print(f"meanwhile {rate:.1f} reports/s of {given.workers} offered")
    _print_table(rounds)


def _read(url: str, routes: dict[str, str], requests: int, pause: float) -> dict[str, list[float]]:
    """Ask for every route in turn; return milliseconds by route."""
    spent: dict[str, list[float]] = {name: [] for name in routes}
    with httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
        client.get("/healthz")
        for _ in range(requests):
            for name, path in routes.items():
                time.sleep(pause)
                began = time.perf_counter()
                client.get(path).raise_for_status()
                spent[name].append(1000 * (time.perf_counter() - began))
    return spent


def _print_table(rounds: list[dict[str, list[float]]]) -> None:
    print("| route | p50 ms | p95 ms | p99 ms |\n|---|---|---|---|")
    for name in ROUTES:
        shares = (statistics.median(_quantile(spent[name], share) for spent in rounds) for share in (0.5, 0.95, 0.99))
        print(f"| {name} | " + " | ".join(f"{value:.1f}" for value in shares) + " |", flush=True)


def _quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


# The workers, in a process of their own so that the reader does not wait for them


def _crowd(url: str, workers: int, stop: Event, sent: multiprocessing.sharedctypes.Synchronized[int]) -> None:
    """Run that many workers until `stop`, their reports spread over the second; `sent` counts the reports."""
    ended = threading.Event()
    threads = [threading.Thread(target=_work, args=(url, f"w{n}", n / workers, ended, sent)) for n in range(workers)]
    for thread in threads:
        thread.start()
    stop.wait()
    ended.set()
    for thread in threads:
        thread.join()


def _work(
    url: str, name: str, delay: float, ended: threading.Event, sent: multiprocessing.sharedctypes.Synchronized[int]
) -> None:
    """Announce, claim, report once a second, finish, again."""
    verbs = HttpVerbs(url)
    ended.wait(delay)
    while not ended.is_set():
        try:
            verbs.announce(name, Announcement(slots=1, tasks=[OFFER]))
            claimed = claim(verbs, worker=name)
            for trial in claimed:
                _train(verbs, name, trial, ended, sent)
        except Problem as problem:
            print(f"{name}: {problem}", file=sys.stderr)
            claimed = []
        if not claimed:
            ended.wait(0.5)
    verbs.close()


def _train(
    verbs: HttpVerbs,
    name: str,
    trial: ClaimedTrial,
    ended: threading.Event,
    sent: multiprocessing.sharedctypes.Synchronized[int],
) -> None:
    for step in REPORTS:
        if ended.wait(1.0):
            return
        answer = report(verbs, report_item(trial, (step, 1.0 + 1 / step)), worker=name)[0]
        with sent.get_lock():
            sent.value += 1
        if answer.directive == "prune":
            return
    finish(verbs, trial, value=1.0)


def _wait_ready(url: str) -> None:
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up:
        with suppress(httpx.HTTPError):  # it does not listen yet
            if httpx.get(f"{url}/readyz", timeout=2, trust_env=False).status_code == httpx.codes.OK:
                return
        time.sleep(0.2)
    raise TimeoutError("the service did not start")


if __name__ == "__main__":
    main()
