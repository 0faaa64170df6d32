"""The key that webhooks are kept with: the operator's, or beside an SQLite store one of its own."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from sqlalchemy import make_url

from search_spaces.problems import InvalidSpec
from store.sealing import Seal

from .settings import Settings

KEY_BYTES = 32
NO_KEY = (
    "this service has no key to keep webhooks with, which the store does not hold in clear: its operator has to set"
    " ETUDE_WEBHOOK_KEY_FILE"
)


def seal_of(settings: Settings) -> Seal:
    """Return the seal of a service's settings; its key is read, and if need be made, when it is used."""
    return Seal(partial(_keys, settings))


def _keys(settings: Settings, make: bool) -> Sequence[str]:
    chosen = "" if settings.webhook_key is None else settings.webhook_key.get_secret_value()
    if chosen:
        return chosen.split()
    file = settings.webhook_key_file
    if file is None:
        file = _beside_the_store(settings.store_url)
        if make and not file.exists():
            _make(file)
    try:
        return file.read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError) as error:
        words = "the file of this service's key cannot be read"
        raise InvalidSpec(words, field="ETUDE_WEBHOOK_KEY_FILE") from error


def _beside_the_store(url: str) -> Path:
    """Return where an SQLite store's own key is; several machines share another store, and have to share its key."""
    parts = make_url(url)
    if parts.get_backend_name() != "sqlite" or not parts.database:
        raise InvalidSpec(NO_KEY, field="webhook")
    return Path(f"{parts.database}.key")


def _make(file: Path) -> None:
    """Make a key that only this user reads; of two that make it at once the first has made it."""
    making = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
    making.touch(0o600, exist_ok=False)
    making.write_text(f"{secrets.token_urlsafe(KEY_BYTES)}\n", encoding="ascii")
    try:
        os.link(making, file)
    except FileExistsError:
        pass
    finally:
        making.unlink()
