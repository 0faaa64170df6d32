"""Settings: from the environment, and no address that other machines reach."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from service.__main__ import main
from service.settings import Settings


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "DATA_DIR", "HOST", "PORT", "DASHBOARD_PORT", "LEASE_SECONDS"):
        monkeypatch.delenv(f"ETUDE_{name}", raising=False)


def test_the_store_is_a_file_in_the_data_directory_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """`var/etude.db`, or under ETUDE_DATA_DIR; ETUDE_DATABASE_URL names another store."""
    by_default = Settings().store_url
    monkeypatch.setenv("ETUDE_DATA_DIR", "/srv/etude")
    elsewhere = Settings().store_url
    monkeypatch.setenv("ETUDE_DATABASE_URL", "postgresql://db/etude")

    assert by_default == f"sqlite:///{Path('var') / 'etude.db'}"
    assert elsewhere == "sqlite:////srv/etude/etude.db"
    assert Settings().store_url == "postgresql://db/etude"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9", "::1", "localhost"])
def test_loopback_addresses_are_taken(host: str) -> None:
    """Only this machine reaches them."""
    assert Settings(host=host).host == host


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.1", "example.org", ""])
def test_other_addresses_are_refused(host: str) -> None:
    """Until requests carry tokens; the message says what to use."""
    with pytest.raises(ValidationError, match=r"no tokens.*127\.0\.0\.1"):
        Settings(host=host)


def test_a_wrong_setting_is_said_by_its_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2 and one line with the variable's name; nothing has started."""
    monkeypatch.setenv("ETUDE_HOST", "0.0.0.0")
    monkeypatch.setenv("ETUDE_PORT", "http")

    status = main([])

    lines = capsys.readouterr().err.splitlines()
    assert status == 2
    assert [line.split(":")[0] for line in lines] == ["ETUDE_HOST", "ETUDE_PORT"]
