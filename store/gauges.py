"""What an operator watches, read from the store at one moment by a fixed number of statements on indexes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, select

from search_spaces.work import DeviceUsage

from .coordinators import LIVE_SECONDS as COORDINATOR_SECONDS
from .engine import Store
from .sql import statement
from .states import CLAIMABLE_STUDY, ENDED_TRIAL, LIVE_STUDY, STUDY_MOVES, TRIAL_MOVES, listed
from .tables import workers
from .workers import LIVE_SECONDS as WORKER_SECONDS

MOST_WORKERS = 500
"""Whose devices are told one by one."""


@dataclass
class Fleet:
    """The live workers."""

    workers: int = 0
    slots: int = 0
    """Trials that they can train at once."""
    devices: dict[str, list[DeviceUsage]] = field(default_factory=dict)
    """GPUs by the worker that tells of them."""


@dataclass(frozen=True)
class Gauges:
    """The store at one moment. Durations are in seconds by the database's clock."""

    studies: dict[str, int]
    """By state; each state is there."""
    trials: dict[str, int]
    """Étude's own, by state."""
    nights: dict[str, int]
    """Those of recurrences that are not over: waiting, running."""
    messages: dict[str, int]
    """Webhooks' that are not delivered: waiting, given_up."""
    fleet: Fleet
    queue: int
    """Proposals that a worker may claim now."""
    queue_oldest_seconds: float
    leases_expired: int
    """Leases that have run out and were not yet returned."""
    expiries: int
    """Leases that have expired, of all trials in the store."""
    lost_seconds: float
    """From claims to the returns of trials of which nothing was kept."""
    coordinators: int
    """Live ones."""
    failing: int
    """Studies whose latest step failed, as live coordinators say."""
    lag_seconds: float
    """Since a coordinator last spoke for the live study that it has left alone for longest."""
    overdue_seconds: float
    """Since the recurrence that is due for longest was."""


def read_gauges(store: Store, own_seconds: float) -> Gauges:
    """Read all of them in one transaction; `own_seconds` is how long a study stays with a silent coordinator.

    Raises:
        StoreUnavailable: the store cannot be reached just now.
    """
    counts: dict[str, Any] = {
        "studies": dict.fromkeys(STUDY_MOVES, 0),
        "trials": dict.fromkeys(TRIAL_MOVES, 0),
        "nights": {"waiting": 0, "running": 0},
        "messages": {"waiting": 0, "given_up": 0},
    }
    with store.read() as connection:
        now = store.now(connection)
        for row in connection.execute(statement(_COUNTS)):
            counts[row.what][row.state] = row.n
        single = connection.execute(statement(_SINGLE), {"now": now, "own": own_seconds}).one()
        fleet = _fleet(connection, now)
    found: dict[str, Any] = {name: value or 0 for name, value in single._mapping.items()}
    return Gauges(**counts, **found, fleet=fleet)


def _fleet(connection: Connection, now: float) -> Fleet:
    fleet = Fleet()
    live = workers.c.heartbeat_at > now - WORKER_SECONDS
    for row in connection.execute(select(workers.c.worker, workers.c.slots, workers.c.usage).where(live)):
        fleet.workers += 1
        fleet.slots += row.slots
        if row.usage and len(fleet.devices) < MOST_WORKERS:
            fleet.devices[row.worker] = [DeviceUsage.model_validate(usage) for usage in row.usage]
    return fleet


# Each part has an index that holds its rows and no others, or all that it counts.
_COUNTS = f"""
    SELECT 'studies' AS what, state, count(*) AS n FROM etude_studies GROUP BY state
    UNION ALL SELECT 'trials', state, count(*) FROM etude_proposals
      WHERE state IN ({listed(ENDED_TRIAL)}) GROUP BY state
    UNION ALL SELECT 'trials', 'proposed', count(*) FROM etude_proposals WHERE state = 'proposed'
    UNION ALL SELECT 'trials', 'leased', count(*) FROM etude_proposals WHERE state = 'leased'
    UNION ALL SELECT 'nights', state, count(*) FROM etude_recurrence_runs
      WHERE state IN ('waiting', 'running') GROUP BY state
    UNION ALL SELECT 'messages', 'waiting', count(*) FROM etude_outbox WHERE next_at IS NOT NULL
    UNION ALL SELECT 'messages', 'given_up', count(*) FROM etude_outbox WHERE next_at IS NULL AND sent_at IS NULL"""

_SEEN = f"FROM etude_coordinators WHERE seen_at > :now - {COORDINATOR_SECONDS}"
_SINGLE = f"""
    WITH queue AS (
      SELECT p.created_at FROM etude_studies s JOIN etude_proposals p ON p.study_id = s.id AND p.state = 'proposed'
      WHERE s.state IN ({listed(CLAIMABLE_STUDY)})),
    last AS (SELECT coalesce(max(seen_at), 0) AS seen_at FROM etude_coordinators),
    lost AS (SELECT sum(attempts) AS expiries, sum(lost_seconds) AS seconds FROM etude_proposals WHERE lost_seconds > 0)
    SELECT (SELECT count(*) FROM queue) AS queue,
      (SELECT :now - min(created_at) FROM queue) AS queue_oldest_seconds,
      (SELECT count(*) FROM etude_proposals WHERE state = 'leased' AND lease_expires_at < :now) AS leases_expired,
      (SELECT expiries FROM lost) AS expiries, (SELECT seconds FROM lost) AS lost_seconds,
      (SELECT count(*) {_SEEN}) AS coordinators, (SELECT sum(failing) {_SEEN}) AS failing,
      (SELECT max(CASE
          WHEN s.owner IS NOT NULL AND s.owner_until > :now + :own THEN 0
          WHEN s.owner IS NOT NULL THEN :now + :own - s.owner_until
          WHEN s.updated_at > last.seen_at THEN :now - s.updated_at ELSE :now - last.seen_at END)
        FROM etude_studies s CROSS JOIN last WHERE s.state IN ({listed(LIVE_STUDY)})) AS lag_seconds,
      (SELECT :now - min(next_due_at) FROM etude_recurrences WHERE next_due_at <= :now) AS overdue_seconds"""
