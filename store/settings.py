"""Where the store is: ETUDE_DATABASE_URL, else an SQLite file under ETUDE_DATA_DIR; its password may lie in a file."""

from __future__ import annotations

from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from search_spaces.problems import InvalidSpec

PASSWORD_FILE = "ETUDE_DATABASE_PASSWORD_FILE"  # noqa: S105 - the name of a variable
LARGEST_PASSWORD_BYTES = 10_000


class StoreSettings(BaseSettings):
    """Settings of everything that opens the store, read from the environment."""

    model_config = SettingsConfigDict(env_prefix="ETUDE_", extra="ignore")

    database_url: str = ""
    """An SQLAlchemy URL; default: etude.db under `data_dir`."""
    database_password_file: Path | None = None
    """A file that holds the password of `database_url`, which then names none."""
    data_dir: Path = Path("var")
    lease_seconds: float = 60.0
    """How long a worker keeps a trial without a sign of life."""

    @property
    def url(self) -> str:
        """The store's URL, with its password.

        Raises:
            InvalidSpec: the password's file is of no use.
        """
        url = self.database_url or f"sqlite:///{(self.data_dir / 'etude.db').absolute()}"
        return with_password(url, self.database_password_file)


def with_password(url: str, file: Path | None) -> str:
    """Return a store's URL with the password that `file` holds; without a file as it is.

    Raises:
        InvalidSpec: the file cannot be read or holds no password, or the URL is none that a password could join.
    """
    if file is None:
        return url
    try:
        parsed = make_url(url)
    except ArgumentError:
        return url  # opening it says what is meant
    if parsed.get_backend_name() == "sqlite":
        raise InvalidSpec(
            "an SQLite file has no password: name the database in ETUDE_DATABASE_URL", field=PASSWORD_FILE
        )
    if parsed.password is not None:
        raise InvalidSpec("ETUDE_DATABASE_URL has a password, too: one of them has to go", field=PASSWORD_FILE)
    return parsed.set(password=_password_in(file)).render_as_string(hide_password=False)


def _password_in(file: Path) -> str:
    try:
        with file.open(encoding="utf-8") as opened:
            text = opened.read(LARGEST_PASSWORD_BYTES)
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSpec(f"{file} cannot be read as a password", field=PASSWORD_FILE) from error
    password = text.removesuffix("\n").removesuffix("\r")
    if not password or "\n" in password:
        raise InvalidSpec(f"{file} has to hold one password, on one line", field=PASSWORD_FILE)
    return password
