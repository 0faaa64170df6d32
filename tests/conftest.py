"""Fixtures that every suite shares: a store on each of the two databases."""

from __future__ import annotations

import gc
import itertools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from store import Store, open_store
from tests.postgres import Postgres, memory

# Before torch is imported, here and in the processes of tests: several threads wait for one another at each of many
# small operations, for ever so long where other processes want the cores too.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A file's garbage is collected at its end (below): looking for it all the time costs tests a part of what they compute.
gc.set_threshold(50_000, 20, 50)

# What holds of every schedule is tried on few examples of each kind, and by `make soak` on more.
settings.register_profile("few", max_examples=10)
settings.register_profile("many", max_examples=100)
settings.load_profile("few")

_numbers = itertools.count()


@pytest.fixture(scope="module", autouse=True)
def _nothing_left_open() -> Iterator[None]:
    """Collect what a file's tests left in cycles: what is not closed in it fails that file, not an innocent one."""
    yield
    gc.collect()
    gc.freeze()  # what outlives its file is not looked through again and again


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One PostgreSQL server for the session; it is never stopped in between, so nothing of it need outlive a crash."""
    careless: dict[str, int | str] = {"fsync": "off", "full_page_writes": "off", "wal_level": "minimal"}
    server = Postgres(memory(), max_wal_senders=0, **careless)
    yield server
    server.remove()


@pytest.fixture(scope="session")
def postgres_template(postgres: Postgres) -> str:
    """Name of a database with the store's tables, to be copied: making them takes longer than most tests."""
    name = "etude_template"
    open_store(postgres.create_database(name)).close()
    return name


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the store's tables, to be copied."""
    file = tmp_path_factory.mktemp("template") / "etude.db"
    open_store(f"sqlite:///{file}").close()
    return file


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[str]:
    """An empty database on the session's PostgreSQL."""
    name = f"etude_{next(_numbers)}"
    yield postgres.create_database(name)
    postgres.drop_database(name)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """An SQLite file that does not exist yet."""
    return f"sqlite:///{tmp_path / 'etude.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty database, once on each kind."""
    return str(request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url"))


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An opened store with its tables and nothing in them, once on each kind of database."""
    server: Postgres | None = None
    name = f"etude_{next(_numbers)}"
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "etude.db")
        url = f"sqlite:///{tmp_path / 'etude.db'}"
    else:
        server = request.getfixturevalue("postgres")
        url = server.create_database(name, request.getfixturevalue("postgres_template"))
    opened = open_store(url)
    yield opened
    opened.close()
    if server is not None:
        server.drop_database(name)
