"""What recurrences have to tell: written in the transaction of what happened, sent later, and tried again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, insert, or_, select, update

from search_spaces.recurrence import WebhookSpec

from .engine import Store
from .kept_webhooks import opened
from .sealing import NotOpened, Seal
from .tables import outbox, recurrences

ERROR_LENGTH = 500
AT_ONCE = 0.0
"""When a new message is due, whatever clock its night went by."""


@dataclass(frozen=True)
class Message:
    """A message that is due, with the webhook as it is now."""

    key: int
    recurrence: str
    event: str
    content: dict[str, Any]
    attempts: int
    """How often it was tried before."""
    webhook: WebhookSpec | None
    """With its secret; None where the recurrence has none any more, or where it cannot be read."""
    trouble: str | None = None
    """Why it cannot."""


def tell(connection: Connection, recurrence: Row[Any], event: str, content: dict[str, Any], at: float) -> None:
    """Put a message into the outbox, in the transaction of what it tells; without a webhook there is nobody to tell."""
    if recurrence.spec["webhook"] is None:
        return
    row = {"recurrence_id": recurrence.id, "event": event, "content": content, "next_at": AT_ONCE, "created_at": at}
    connection.execute(insert(outbox).values(row))


def take_message(store: Store, hold_seconds: float, seal: Seal | None = None) -> Message | None:
    """Take the message that has been due for longest; nobody else gets it for so long. Its attempt is counted."""
    with store.read() as connection:
        if connection.execute(_due(store.now(connection)).limit(1)).first() is None:
            return None
    with store.begin() as connection:
        now = store.now(connection)
        query = _due(now).order_by(outbox.c.next_at, outbox.c.id).limit(1).with_for_update(skip_locked=True, of=outbox)
        row = connection.execute(query).first()
        if row is None:
            return None
        held = {"attempts": row.attempts + 1, "next_at": now + hold_seconds}
        connection.execute(update(outbox).where(outbox.c.id == row.id).values(held))
    return _message(row, seal)


def _due(now: float) -> Any:
    kept = (recurrences.c.spec, recurrences.c.webhook_url, recurrences.c.webhook_secret, recurrences.c.secret)
    columns = (outbox, recurrences.c.name, *kept)
    joined = select(*columns).join(recurrences, recurrences.c.id == outbox.c.recurrence_id)
    return joined.where(outbox.c.next_at <= now)


def _message(row: Row[Any], seal: Seal | None) -> Message:
    try:
        webhook, trouble = opened(row, seal), None
    except NotOpened as problem:
        webhook, trouble = None, str(problem)
    return Message(row.id, row.name, row.event, row.content, row.attempts, webhook, trouble)


def settle_message(store: Store, key: int, error: str | None, again_seconds: float | None) -> None:
    """Note what became of an attempt: no `error` is sent; no `again_seconds` is given up."""
    with store.begin() as connection:
        now = store.now(connection)
        values: dict[str, Any] = {"error": None if error is None else error[:ERROR_LENGTH]}
        values |= {"sent_at": now if error is None else None}
        values |= {"next_at": None if error is None or again_seconds is None else now + again_seconds}
        connection.execute(update(outbox).where(outbox.c.id == key).values(values))


def unsent(store: Store) -> int:
    """Count the messages that are not sent: those to be tried again, and those given up."""
    query = select(outbox.c.id).where(or_(outbox.c.next_at.is_not(None), outbox.c.sent_at.is_(None)))
    with store.read() as connection:
        return len(connection.execute(query).all())
