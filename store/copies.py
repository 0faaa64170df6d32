"""Copies of an embedded store: whole at every moment, made while it is written to, and gone on from elsewhere."""

from __future__ import annotations

import os
import shutil
import sqlite3
import uuid
from contextlib import closing
from pathlib import Path

from sqlalchemy import make_url, text

from search_spaces.problems import InvalidSpec

from .engine import Store


def store_file(url: str) -> Path:
    """Return the file of an embedded store.

    Raises:
        InvalidSpec: the store is none.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        raise InvalidSpec("only an embedded store is copied as a file; PostgreSQL has its own way", field="copy_to")
    return Path(parsed.database)


def copy_store(url: str, to: Path) -> None:
    """Copy an embedded store, which may be in use, to the file `to`, wherever that lies.

    SQLite makes the copy beside the store, on the same disk; only the finished file goes to where `to` is, and appears
    there under its name when it is whole and on the disk.

    Raises:
        InvalidSpec: the store is not embedded.
        OSError: there is no room, or no permission.
        sqlite3.Error: the store cannot be read.
    """
    file = store_file(url)
    beside = file.with_name(f".{file.name}.copy")
    part = to.with_name(f".{to.name}.{uuid.uuid4().hex}")
    try:
        with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(beside)) as target:
            source.backup(target)
            target.execute("PRAGMA journal_mode=DELETE")  # else the copy would be nothing without files beside it
        with beside.open("rb") as whole, os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as copy:
            shutil.copyfileobj(whole, copy, 1 << 20)
            copy.flush()
            os.fsync(copy.fileno())
        part.replace(to)
    finally:
        part.unlink(missing_ok=True)
        beside.unlink(missing_ok=True)


def put_copy(copy: Path, url: str) -> None:
    """Put a copy in the place of an embedded store that nobody has open.

    Raises:
        InvalidSpec: the store is not embedded, or the copy is no whole SQLite file.
        OSError: the copy cannot be read, or there is no room.
    """
    file = store_file(url)
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(f".{file.name}.copy")
    try:
        shutil.copyfile(copy, beside)
        _check_whole(beside, copy)
        for left in (file, file.with_name(f"{file.name}-wal"), file.with_name(f"{file.name}-shm")):
            left.unlink(missing_ok=True)
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)


def _check_whole(file: Path, named: Path) -> None:
    try:
        with closing(sqlite3.connect(file)) as connection:
            found = connection.execute("PRAGMA quick_check").fetchone()[0]
            connection.execute("PRAGMA journal_mode=WAL")
    except sqlite3.DatabaseError as error:
        raise InvalidSpec(f"{named} is no copy of a store: {error}", field="restore_from") from error
    if found != "ok":
        raise InvalidSpec(f"{named} is damaged: {found}", field="restore_from")


def prolong_leases(store: Store) -> int:
    """Let every lease hold as long as a new one: while nobody served, nobody could renew; return how many there are."""
    with store.begin() as connection:
        now = store.now(connection)
        prolonged = connection.execute(
            text("UPDATE etude_proposals SET lease_expires_at = :until WHERE state = 'leased'"),
            {"until": now + store.lease_seconds},
        )
        return prolonged.rowcount


def data_version(connection: sqlite3.Connection) -> int:
    """Return a number that changes when another connection has written."""
    return int(connection.execute("PRAGMA data_version").fetchone()[0])
