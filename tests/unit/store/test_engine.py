"""What a store is opened by."""

from __future__ import annotations

import json

import pytest

from search_spaces.problems import InvalidSpec
from store.__main__ import main
from store.engine import make_engine

NO_STORES = [
    "etude.db",
    "mysql://me:secret@host/etude",
    "postgresql+nothing://me:secret@host/etude",
    "sqlite//etude.db",
]


@pytest.mark.parametrize("url", NO_STORES)
def test_what_is_no_store_is_refused_with_what_is_meant(url: str) -> None:
    """The variable is named; its value, which may hold a password, is not repeated."""
    with pytest.raises(InvalidSpec, match="sqlite:///FILE or postgresql://") as refused:
        make_engine(url)

    assert refused.value.field == "ETUDE_DATABASE_URL"
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_a_postgresql_goes_by_each_of_its_names(scheme: str) -> None:
    """Hosting providers write the first, which SQLAlchemy does not know any more."""
    engine = make_engine(f"{scheme}://me@host/etude")

    assert engine.url.drivername == "postgresql+psycopg"
    engine.dispose()


def test_the_command_ends_with_2_as_for_any_wrong_setting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence, no traceback."""
    monkeypatch.setenv("ETUDE_DATABASE_URL", "mysql://me@host/etude")

    assert main(["check"]) == 2
    assert capsys.readouterr().err.startswith("ETUDE_DATABASE_URL: it is no URL of a store")
    assert main(["check", "--json"]) == 2
    assert json.loads(capsys.readouterr().err)["field"] == "ETUDE_DATABASE_URL"
