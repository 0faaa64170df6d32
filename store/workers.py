"""Workers and what they offer: the heartbeat, the live ones, and every task that was ever offered."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, func, select, text
from sqlalchemy.dialects import postgresql, sqlite

from search_spaces.results import WorkerView
from search_spaces.work import Announcement, OfferedTask

from .engine import Store
from .tables import offers as offers_table
from .tables import proposals, workers

LIVE_SECONDS = 30.0
"""A worker announces itself every 10 s: three heartbeats missed and it is not counted on."""


def announce(store: Store, worker: str, announcement: Announcement) -> None:
    """Store a worker's offer and its sign of life; the tasks it offers are known from then on."""
    body = announcement.model_dump(mode="json")
    with store.begin() as connection:
        now = store.now(connection)
        row = {
            "worker": worker,
            "devices": body["devices"],
            "slots": body["slots"],
            "tasks": body["tasks"],
            "machine": body["machine"],
            "usage": body["usage"],
            "started_at": now,
            "heartbeat_at": now,
        }
        _upsert(store, connection, workers, row, ["worker"], keep={"started_at"})
        for task in body["tasks"]:
            offer = {"task": task["name"], "version": task["version"], "offer": task, "offered_at": now}
            _upsert(store, connection, offers_table, offer, ["task", "version"])


def _upsert(
    store: Store,
    connection: Connection,
    table: Any,
    row: dict[str, Any],
    key: list[str],
    keep: Collection[str] = (),
) -> None:
    dialect = postgresql if store.dialect.name == "postgresql" else sqlite
    insertion = dialect.insert(table).values(row)
    changed = {name: value for name, value in row.items() if name not in key and name not in keep}
    connection.execute(insertion.on_conflict_do_update(index_elements=key, set_=changed))


def list_workers(store: Store) -> list[WorkerView]:
    """Read every worker that has announced itself, the latest heartbeat first."""
    held = select(proposals.c.worker, func.count()).where(proposals.c.state == "leased").group_by(proposals.c.worker)
    with store.read() as connection:
        now = store.now(connection)
        leased = {row[0]: row[1] for row in connection.execute(held)}
        rows = connection.execute(select(workers).order_by(workers.c.heartbeat_at.desc())).all()
    return [_view(row, now, leased.get(row.worker, 0)) for row in rows]


def _view(row: Row[Any], now: float, leased: int) -> WorkerView:
    return WorkerView(
        worker=row.worker,
        devices=row.devices,
        slots=row.slots,
        tasks=row.tasks,
        machine=row.machine,
        usage=row.usage or [],
        last_heartbeat=datetime.fromtimestamp(row.heartbeat_at, UTC),
        live=now - row.heartbeat_at <= LIVE_SECONDS,
        leased=leased,
    )


def offers(store: Store) -> list[OfferedTask]:
    """Read the latest offer of every task and version, the most recent first; workers may be gone since."""
    query = select(offers_table.c.offer).order_by(offers_table.c.offered_at.desc(), offers_table.c.task)
    with store.read() as connection:
        return [OfferedTask.model_validate(offer) for offer in connection.execute(query).scalars()]


def live_slots(store: Store, task: str, version: str) -> list[int]:
    """Read, for each live worker that offers a task, how many trials it can train at once."""
    query = select(workers.c.slots, workers.c.tasks).where(
        workers.c.heartbeat_at > text(f"{store.dialect.now} - {LIVE_SECONDS}")
    )
    with store.read() as connection:
        rows = connection.execute(query).all()
    return [row.slots for row in rows if _offers(row.tasks, task, version)]


def _offers(tasks: list[dict[str, Any]], task: str, version: str) -> bool:
    return any(
        offer["name"] == task and offer["version"] == version and offer.get("available", True) for offer in tasks
    )
