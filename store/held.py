"""Trials that a caller says it holds: found by study, number and fencing token, and locked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from search_spaces.work import Held, ItemAnswer

from .sql import Dialect

HELD_COLUMNS = """p.id, p.trial_id, p.study_id, p.state, p.lease, p.purpose, p.rungs, p.settled_rung,
    p.stale_attempts, p.exempt_steps, p.prunable, p.run_on, p.tail, p.horizon_steps, p.steps_done"""


def held_rows(dialect: Dialect) -> str:
    """A SELECT of the items that name a lease of theirs, current or ended, locked until the transaction ends."""
    items = dialect.rows("items", place="int", study="text", number="int", lease="text")
    return f"""
        SELECT items.place, {HELD_COLUMNS}, {dialect.now} AS now
        FROM ({items}) items
        JOIN etude_proposals p ON p.study_name = items.study AND p.number = items.number
        WHERE p.lease = items.lease OR p.ended_lease = items.lease
        {dialect.lock}"""


def pack_held(dialect: Dialect, items: Sequence[Held]) -> str:
    """The parameter `:items` of `held_rows`."""
    return dialect.pack(
        [
            {"place": place, "study": item.study, "number": item.number, "lease": item.lease}
            for place, item in enumerate(items)
        ]
    )


def answer_lost(item: Held) -> ItemAnswer:
    """The answer to an item whose lease is no longer the caller's."""
    return ItemAnswer(study=item.study, number=item.number, accepted=False, code="lease_lost")


def as_time(seconds: float) -> datetime:
    """Write the store's seconds as a time in UTC."""
    return datetime.fromtimestamp(seconds, UTC)
