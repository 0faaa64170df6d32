"""Where the store is, and the password that lies in a file beside its URL."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import make_url

from search_spaces.problems import InvalidSpec
from store.settings import StoreSettings

URL = "postgresql+psycopg://etude@postgres:5432/etude"
ODD = "p@ss:w/rd%41 é"


@pytest.mark.parametrize("written", [ODD, f"{ODD}\n", f"{ODD}\r\n"])
def test_the_password_of_a_file_joins_the_url(written: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever letters it has, without the line's end; the rest of the URL stays as it is."""
    file = tmp_path / "password"
    file.write_bytes(written.encode())
    monkeypatch.setenv("ETUDE_DATABASE_URL", URL)
    monkeypatch.setenv("ETUDE_DATABASE_PASSWORD_FILE", str(file))

    url = make_url(StoreSettings().url)

    assert url == make_url(URL).set(password=ODD)


REFUSED = {
    "no such file": (URL, None),
    "nothing in it": (URL, b"\n"),
    "two lines": (URL, b"one\ntwo\n"),
    "no text": (URL, b"\xff\xfe"),
    "a password in the URL, too": ("postgresql://etude:other@postgres/etude", b"word"),
    "a store without passwords": ("sqlite:///etude.db", b"word"),
    "no database named": ("", b"word"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_password_that_cannot_be_meant_is_refused(case: str, tmp_path: Path) -> None:
    """The variable is named, and nothing that is secret is repeated."""
    url, content = REFUSED[case]
    file = tmp_path / "password"
    if content is not None:
        file.write_bytes(content)
    settings = StoreSettings(database_url=url, database_password_file=file)

    with pytest.raises(InvalidSpec) as refused:
        _ = settings.url

    assert refused.value.field == "ETUDE_DATABASE_PASSWORD_FILE"
    assert "word" not in str(refused.value).replace("password", "")
    assert "other" not in str(refused.value)


def test_a_url_that_is_none_is_left_to_who_opens_it(tmp_path: Path) -> None:
    """Opening says what is meant, with the URL's own variable."""
    assert StoreSettings(database_url="etude.db", database_password_file=tmp_path / "password").url == "etude.db"
