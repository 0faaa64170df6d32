"""The command line in this process, against a service that is a table of answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner, Result

from etude import Client
from etude.cli import main
from tests.unit.etude.answers import routes

MODULES = ("answer", "changes", "history", "insight", "options", "schedules", "studies", "submit", "tokens", "watch")


@pytest.fixture
def table() -> dict[str, Any]:
    """What the service answers, by "METHOD /path"; tests fill it."""
    return {}


@pytest.fixture
def etude(table: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Call the command line against the table."""

    def client(url: str | None, **_options: Any) -> Client:
        return Client(url or "http://service.test", transport=routes(table), attempts=1)

    for module in MODULES:
        monkeypatch.setattr(f"etude.cli_{module}.Client", client)
    monkeypatch.setattr("etude.waiting.LOOK_SECONDS", 0.0)
    return lambda *arguments, **options: CliRunner().invoke(main, arguments, catch_exceptions=False, **options)
