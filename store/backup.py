"""A copy of an embedded store while its processes work on it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import make_url

from search_spaces.problems import Conflict, InvalidSpec, StoreUnavailable

from .engine import Store

PAGES_AT_ONCE = 1000
"""Between two such portions writers get their turn; the copy is of one moment all the same."""


def back_up(store: Store, target: Path) -> int:
    """Copy an SQLite store into the file `target`, which must not be there yet; return the bytes written.

    Raises:
        InvalidSpec: the store is no SQLite file; PostgreSQL has a command of its own.
        Conflict: `target` is there.
        StoreUnavailable: the copy cannot be read or written; `target` is not left behind.
    """
    source = make_url(store.url).database
    if store.dialect.name != "sqlite" or source is None:
        raise InvalidSpec("this store is PostgreSQL's: `pg_dump --format=custom` backs it up", field="store")
    if target.exists():
        raise Conflict(f"{target} is there already: a backup takes no file's place", field="file")
    try:
        with closing(sqlite3.connect(source)) as read, closing(sqlite3.connect(target)) as written:
            read.backup(written, pages=PAGES_AT_ONCE)
    except sqlite3.Error as error:
        target.unlink(missing_ok=True)
        raise StoreUnavailable(f"no backup was made: {error}") from error
    return target.stat().st_size
