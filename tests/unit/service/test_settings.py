"""Settings: from the environment, and no address that other machines reach but with tokens."""

from __future__ import annotations

from pathlib import Path

import pytest

from search_spaces.problems import InvalidSpec
from service.__main__ import main
from service.keyring import found
from service.opening import prepare_tokens
from service.settings import Settings
from store import open_store
from store.tokens import keys_of

CHOSEN = "a-secret-of-thirty-two-letters-or-more"


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "DATA_DIR", "HOST", "PORT", "DASHBOARD_PORT", "LEASE_SECONDS", "ADMIN_TOKEN"):
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


@pytest.mark.parametrize("part", [(), ("--only", "api"), ("--only", "dashboard")])
def test_other_addresses_are_refused_without_tokens(
    part: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2 and a sentence that names the way out; nothing listens."""
    monkeypatch.setenv("ETUDE_DATA_DIR", str(tmp_path))

    status = main([*part, "--host", "0.0.0.0", "--port", "0", "--dashboard-port", "0"])

    said = capsys.readouterr().err
    assert status == 2
    assert "ETUDE_HOST" in said
    assert "etude token create" in said


def test_other_addresses_are_taken_with_tokens(tmp_path: Path) -> None:
    """One in the store, or the operator's own, which is put there as a hash."""
    store = open_store(f"sqlite:///{tmp_path / 'etude.db'}")
    file = tmp_path / "secret"
    file.write_text(f"{CHOSEN}\n")

    with pytest.raises(InvalidSpec):
        prepare_tokens(store, Settings(host="0.0.0.0"))
    prepare_tokens(store, Settings(host="0.0.0.0", admin_token_file=file))
    prepare_tokens(store, Settings(host="0.0.0.0"))
    keys = keys_of(store)
    store.close()

    assert [key.token for key in keys.by_digest.values()] == ["environment"]
    assert found(keys, CHOSEN, session=False) is not None


def test_a_wrong_setting_is_said_by_its_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2 and one line with the variable's name; nothing has started."""
    monkeypatch.setenv("ETUDE_LEASE_SECONDS", "none")
    monkeypatch.setenv("ETUDE_PORT", "http")

    status = main([])

    lines = capsys.readouterr().err.splitlines()
    assert status == 2
    assert [line.split(":")[0] for line in lines] == ["ETUDE_PORT", "ETUDE_LEASE_SECONDS"]
