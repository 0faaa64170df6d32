"""Every operation of the OpenAPI document, asked for minutes: `make fuzz`, with another seed by ETUDE_FUZZ_SEED."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.app import create_app
from service.settings import Settings
from store import Store, open_store
from tests.fuzzing import Asking, fuzz, operations_of, schema_of
from tests.integration.service_http import serving
from tests.peopled import AtOnce, guard, people
from tests.walks import linked, walk

SEED = int(os.environ.get("ETUDE_FUZZ_SEED") or 0)
NEWS = 10
"""The coordinator takes its steps at each so many changes: hundreds of studies come together."""
UNLIMITED = Settings(token_requests_per_second=1e6, token_studies=100_000)
pytestmark = pytest.mark.timeout(3600)


@pytest.fixture
def embedded(sqlite_template: Path, tmp_path: Path) -> Iterator[Store]:
    """A peopled store in a file."""
    opened = open_store(f"sqlite:///{shutil.copy(sqlite_template, tmp_path / 'etude.db')}")
    people(opened)
    yield opened
    opened.close()


@pytest.fixture
def shared(postgres_url: str) -> Iterator[Store]:
    """The same on PostgreSQL."""
    opened = open_store(postgres_url)
    people(opened)
    yield opened
    opened.close()


def test_an_open_service_answers_as_the_document_says(embedded: Store) -> None:
    """On SQLite without tokens, in this process: every boundary of every schema, too; 5,000 cases and more."""
    app = create_app(embedded, UNLIMITED, AtOnce(embedded, NEWS))

    found = fuzz(app, Asking(seed=SEED, examples=15, chains=60))

    assert found.text() == ""
    assert found.operations == {one for one in operations_of(app) if "/v1/tokens" not in one}
    assert sum(found.cases.values()) >= 5000


def test_a_guarded_service_answers_as_the_document_says(shared: Store) -> None:
    """On PostgreSQL with tokens, over real HTTP: 2,000 cases and more, and every operation does what it is for."""
    token = guard(shared)
    coordinator = AtOnce(shared, NEWS)
    app = create_app(shared, UNLIMITED, coordinator)
    with serving(shared, app) as client:
        asking = Asking(
            seed=SEED, examples=30, chains=60, phases=("fuzzing", "stateful"), token=token, url=str(client.base_url)
        )

        found = fuzz(app, asking)
        schema = schema_of(app, asking)
        walk(schema, found, seed=SEED, least=500, most=2000, attend=coordinator.attend, token=token)

    assert found.text() == ""
    assert found.operations == operations_of(app)
    assert found.done >= linked(schema)
    assert sum(found.cases.values()) >= 2000
