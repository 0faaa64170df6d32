"""docker-compose.yml as processes: its own commands, environment, secrets and healthchecks, on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from etude import Client
from search_spaces.problems import Unauthorized
from tests.containers import Container, ended, stop
from tests.images import stages
from tests.machine import until
from tests.postgres import Postgres

PASSWORD = "a/pass@word:with%signs"
TOKEN = "a-secret-of-thirty-two-letters-or-more"
KEY = "the-letters-that-seal-webhooks-in-the-store"
PARTS = ("service", "service", "coordinator", "clock", "dashboard", "worker", "worker-gpu")
SECONDS = 120.0
SMALL: dict[str, Any] = {
    "task": "embedding",  # whose trials are never packed: how many at once are fastest is not measured first
    "trials": 4, "horizon": {"steps": 40}, "space": {"optimizers": ["sparse_adam"]},
    "confirmation": {"seeds": 2, "top": 1, "baselines": ["sparse-adam-constant"], "extras": False},
}  # fmt: skip


def is_up(url: str, parts: list[Container]) -> bool:
    """Whether the form for a token is served there; every part has to live meanwhile."""
    assert [part.log() for part in parts if part.part.exit_status is not None] == []
    try:
        return httpx.get(f"{url}/login", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def trials_claimed(url: str) -> int:
    """How many trials a worker says that it has claimed."""
    lines = httpx.get(f"{url}/metrics", trust_env=False).text.splitlines()
    [line] = [line for line in lines if line.startswith("etude_worker_trials_claimed_total ")]
    return int(float(line.split()[1]))


def is_closed(postgres: Postgres) -> bool:
    """Whether the database asks for a password by now."""
    try:
        psycopg.connect(f"host=127.0.0.1 port={postgres.port} user=etude dbname=etude").close()
    except psycopg.OperationalError:
        return True
    return False


@pytest.fixture
def place(postgres: Postgres, tmp_path: Path) -> Iterator[Path]:
    """The host: a database that asks for a password, two files with secrets, an empty volume."""
    postgres.create_database("etude")
    postgres.ask_for_password("etude", PASSWORD)
    until(lambda: is_closed(postgres))
    for directory in ("secrets", "work"):
        (tmp_path / directory).mkdir()
    (tmp_path / "secrets" / "database-password").write_text(f"{PASSWORD}\n")
    (tmp_path / "secrets" / "admin-token").write_text(f"{TOKEN}\n")
    (tmp_path / "secrets" / "webhook-key").write_text(f"{KEY}\n")
    yield tmp_path
    postgres.drop_database("etude")


def test_what_the_file_starts_searches_a_study(place: Path, postgres: Postgres) -> None:
    """Migrated, all started at once, healthy; a study sent to one service is done in the other; all stop when asked.

    The parts of the service find no torch and nothing else that only workers need; no part writes outside its volumes.
    """
    address = f"127.0.0.1:{postgres.port}"
    migrate = Container(place, "migrate", 1, address)
    parts = [Container(place, name, PARTS[:place_in].count(name) + 1, address) for place_in, name in enumerate(PARTS)]
    one, other, _, _, dashboard, *workers = parts
    with ended([migrate, *parts]):
        migrate.start()
        assert migrate.part.process is not None
        assert migrate.part.process.wait(SECONDS) == 0, migrate.log()
        early = [part.name for part in (one, parts[-1]) if part.is_healthy()]
        for part in parts:
            part.start()
        for url in (one.url(8000), other.url(8000), dashboard.url(8080)):
            until(lambda url=url: is_up(url, parts), SECONDS)

        with Client(one.url(8000)) as stranger, pytest.raises(Unauthorized):
            stranger.get("composed")
        with Client(one.url(8000), token=TOKEN) as client:
            study = client.submit(name="composed", **SMALL)
            answer = study.wait(progress=False, timeout=SECONDS)
        with Client(other.url(8000), token=TOKEN) as client:
            seen = client.study("composed").view()
        page = httpx.get(f"{dashboard.url(8080)}/dashboard/", headers={"Accept": "text/html"}, trust_env=False)
        trained = [trials_claimed(worker.url(9100)) for worker in workers]
        healthy = {part.name: part.is_healthy() for part in parts}
        healthy["by its image"] = one.is_healthy(["CMD", *stages()["service"].healthcheck])
        statuses = stop(parts, SECONDS)

    assert answer.status == "final"
    assert seen.counts.complete + seen.counts.pruned == 4
    assert (page.status_code, page.headers["location"]) == (303, "/login?next=/dashboard/")
    assert sum(trained) >= 4, "each shows what it has done at a port of its own"
    assert early == []
    assert all(healthy.values()), healthy
    assert statuses == [0] * len(parts), [part.log() for part in parts]
    assert not any(word in part.log() for part in parts for word in ("Traceback", PASSWORD, TOKEN, KEY))
