"""A service that is asked to stop: not ready first, then no new connections, and what is under way ends well."""

from __future__ import annotations

import shutil
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from service.app import create_app
from service.server import Server
from service.settings import Settings
from store import Store, open_store
from store.coordinators import beat
from tests.studies import run_study


@pytest.fixture
def store(sqlite_template: Path, tmp_path: Path) -> Iterator[Store]:
    shutil.copy(sqlite_template, tmp_path / "etude.db")
    opened = open_store(f"sqlite:///{tmp_path / 'etude.db'}")
    beat(opened, "elsewhere", 0)
    run_study(opened)
    yield opened
    opened.close()


@dataclass
class Running:
    """A server in a thread of its own, as a signal and a client meet it."""

    server: Server
    application: FastAPI
    thread: threading.Thread
    client: httpx.Client

    def ask(self) -> None:
        """Do what SIGTERM does."""
        self.server.handle_exit(signal.SIGTERM, None)

    def has_ended(self) -> bool:
        self.thread.join(30)
        return not self.thread.is_alive()


@contextmanager
def running(store: Store, drain_seconds: float = 0.0) -> Iterator[Running]:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    port, ready = listener.getsockname()[1], threading.Event()
    application = create_app(store, Settings())
    server = Server(application, drain_seconds, ready.set)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    assert ready.wait(30)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as client:
        yield Running(server, application, thread, client)
    server.should_exit = True
    thread.join(30)


def test_readiness_turns_first_and_the_rest_is_served_on(store: Store) -> None:
    """During the drain period a balancer learns that it is to send nobody here; a second signal ends the period."""
    with running(store, drain_seconds=600) as service:
        before = service.client.get("/readyz").status_code
        service.ask()
        after = service.client.get("/readyz")
        served = service.client.get("/v1/presets").status_code
        alive = service.client.get("/healthz").status_code
        still_there = service.thread.is_alive()
        service.ask()
        ended = service.has_ended()

    assert (before, after.status_code, after.json()["code"]) == (200, 503, "not_ready")
    assert (served, alive, still_there, ended) == (200, 200, True, True)


def test_the_drain_period_ends_by_itself(store: Store) -> None:
    """Nobody has to ask again."""
    with running(store, drain_seconds=0.05) as service:
        service.ask()
        ended = service.has_ended()

    assert ended


def test_a_request_in_flight_is_answered(store: Store) -> None:
    """It began before the signal, and its answer comes after; a later one finds nobody."""
    entered, goes_on = threading.Event(), threading.Event()

    def slow() -> dict[str, str]:
        entered.set()
        goes_on.wait(30)
        return {"answer": "late"}

    with running(store) as service, ThreadPoolExecutor(1) as pool:
        service.application.add_api_route("/slow", slow)
        answer = pool.submit(httpx.get, f"{service.client.base_url}/slow", trust_env=False, timeout=30)
        assert entered.wait(30)
        service.ask()
        while service.server.servers[0].is_serving():
            threading.Event().wait(0.01)
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{service.client.base_url}/healthz", trust_env=False)
        goes_on.set()
        got = answer.result(30).json()
        ended = service.has_ended()

    assert (got, ended) == ({"answer": "late"}, True)


def test_a_stream_of_events_ends(store: Store) -> None:
    """Whoever watches a study gets the end of the stream, and goes on elsewhere from the last id."""
    with running(store) as service, service.client.stream("GET", "/v1/studies/mine/events") as stream:
        lines = stream.iter_lines()
        first = next(lines)
        service.ask()
        rest = list(lines)
        ended = service.has_ended()

    assert first
    assert rest
    assert ended
