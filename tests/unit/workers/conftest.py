"""Fixtures of the workers' tests: an embedded store, and the verbs on it over a wire of the test's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from store import Store, open_store
from store.verbs import SqlVerbs
from tests.wire import Wire


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    """An embedded store."""
    opened = open_store(sqlite_url)
    yield opened
    opened.close()


@pytest.fixture
def wire(store: Store) -> Wire:
    """The verbs on that store."""
    return Wire(SqlVerbs(store))
