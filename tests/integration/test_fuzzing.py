"""Every operation of the OpenAPI document answers as it says, whatever it is asked: the short form of `make fuzz`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.app import create_app
from service.settings import Settings
from store import Store, open_store
from tests.fuzzing import Asking, Found, fuzz, operations_of, schema_of
from tests.peopled import AtOnce, guard, people
from tests.walks import linked, walk

UNLIMITED = Settings(token_requests_per_second=1e6, token_studies=10_000)


@pytest.fixture
def store(sqlite_template: Path, tmp_path: Path) -> Iterator[Store]:
    """A peopled store in a file."""
    file = shutil.copy(sqlite_template, tmp_path / "etude.db")
    opened = open_store(f"sqlite:///{file}", upgrade=False)
    people(opened)
    yield opened
    opened.close()


def test_odd_requests_are_answered_as_the_document_says(store: Store) -> None:
    """No 5xx, no status, media type, header or body that is not described: 200 cases and more, without tokens."""
    app = create_app(store, UNLIMITED, AtOnce(store))

    found = fuzz(app, Asking(examples=4, chains=6, phases=("fuzzing", "stateful")))

    assert found.text() == ""
    assert found.operations == {one for one in operations_of(app) if "/v1/tokens" not in one}
    assert sum(found.cases.values()) >= 200


def test_every_link_of_the_document_leads_where_it_says(store: Store) -> None:
    """From submitting to the answer, with a token: what one operation says the next one takes, 110 cases and more."""
    token = guard(store)
    coordinator = AtOnce(store)
    schema = schema_of(create_app(store, UNLIMITED, coordinator), Asking(token=token))
    found = Found()

    walk(schema, found, seed=1, least=110, most=400, attend=coordinator.attend, token=token)

    assert found.text() == ""
    assert found.done >= linked(schema)
