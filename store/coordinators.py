"""Coordinators as the store knows them: signs of life, and whether there is one to count on."""

from __future__ import annotations

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from .engine import Store
from .tables import coordinators

LIVE_SECONDS = 30.0
"""A coordinator that is not heard of for so long is not counted on; it says something every few seconds."""
STEADY_SECONDS = 60.0
"""One that has lived so long is no part of a crash loop."""
LOOP_SECONDS = 300.0
LOOP_ENDS = 3
"""So many that have died young within `LOOP_SECONDS` are a crash loop."""
KEEP_SECONDS = 3600.0


def beat(store: Store, name: str, failing: int) -> None:
    """Note that a coordinator lives, and in how many of its studies the latest step failed; forget long dead ones."""
    dialect = postgresql if store.dialect.name == "postgresql" else sqlite
    with store.begin() as connection:
        now = store.now(connection)
        row = {"name": name, "started_at": now, "seen_at": now, "failing": failing}
        insertion = dialect.insert(coordinators).values(row)
        changed = {"seen_at": now, "failing": failing}
        connection.execute(insertion.on_conflict_do_update(index_elements=["name"], set_=changed))
        connection.execute(delete(coordinators).where(coordinators.c.seen_at < now - KEEP_SECONDS))


def say_goodbye(store: Store, name: str) -> None:
    """Forget a coordinator that ends in order: only one that dies leaves its row."""
    with store.begin() as connection:
        connection.execute(delete(coordinators).where(coordinators.c.name == name))


def trouble(connection: Connection, now: float) -> str | None:
    """Say why no coordinator can be counted on at `now` (seconds since 1970); None where one can."""
    rows = connection.execute(select(coordinators).where(coordinators.c.seen_at > now - LOOP_SECONDS)).all()
    live = [row for row in rows if now - row.seen_at <= LIVE_SECONDS]
    if any(row.seen_at - row.started_at >= STEADY_SECONDS for row in live):
        return None
    died = sum(now - row.seen_at > LIVE_SECONDS and row.seen_at - row.started_at < STEADY_SECONDS for row in rows)
    if died >= LOOP_ENDS:
        return f"{died} coordinators have died in the last {LOOP_SECONDS:.0f} s, each soon after its start"
    return None if live else f"no coordinator has been heard of for {LIVE_SECONDS:.0f} s"
