"""Trials that a caller says it holds: found by study, number and fencing token, and locked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from search_spaces.work import Held, ItemAnswer

from .sql import Dialect

HELD_COLUMNS = """p.id, p.trial_id, p.study_id, p.state, p.lease, p.purpose, p.rungs, p.settled_rung,
    p.stale_attempts, p.exempt_steps, p.prunable, p.phases, p.run_on, p.tail, p.horizon_steps, p.steps_done"""


TARGET = ", (SELECT s.resolved -> 'target' FROM etude_studies s WHERE s.id = p.study_id) AS target"
"""A further column: the target of the trial's study, as JSON."""


def held_rows(dialect: Dialect, further: str = "") -> str:
    """A SELECT of the items that name a lease of theirs, current or ended, locked until the transaction ends.

    `further` are columns beside the usual ones.
    """
    items = dialect.rows("items", place="int", study="text", number="int", lease="text")
    return f"""
        SELECT items.place, {HELD_COLUMNS}{further}, {dialect.now} AS now
        FROM ({items}) items
        JOIN etude_proposals p ON p.study_name = items.study AND p.number = items.number
        WHERE (p.lease = items.lease OR p.ended_lease = items.lease) {still_there(dialect)}
        {dialect.lock}"""


def still_there(dialect: Dialect) -> str:
    """A further condition on proposals `p` that are leased: their trial was not deleted by stock Optuna under us.

    PostgreSQL deletes the proposal with its trial. SQLite does not, since it keeps foreign keys only on connections
    that ask for it, and it gives the ids out again: a trial of that id may be a stranger's.
    """
    if dialect.name == "postgresql":
        return ""
    return """AND EXISTS (SELECT 1 FROM trials t JOIN studies o ON o.study_id = t.study_id
            WHERE t.trial_id = p.trial_id AND o.study_name = p.study_name)"""


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
