"""Webhooks as the store keeps them: whom they reach in clear, the whole URL and the secret sealed.

The path of a URL may be as secret as the secret: chat services know who may write by it alone.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Row, select, update

from search_spaces.problems import InvalidSpec
from search_spaces.recurrence import RecurrenceSpec, WebhookSpec

from .engine import Store
from .sealing import NotOpened, Seal
from .tables import recurrences


def readable(webhook: WebhookSpec | None) -> dict[str, Any] | None:
    """Return the part of a webhook that may be read: scheme, host and port of its URL, and its format."""
    if webhook is None:
        return None
    parts = urlsplit(webhook.url)
    return {"url": f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}", "format": webhook.format, "secret": None}


def closed(webhook: WebhookSpec | None, seal: Seal | None) -> dict[str, str | None]:
    """Return the columns that hold the rest of it.

    Raises:
        InvalidSpec: there is no key to seal it with.
    """
    if webhook is None:
        return {"webhook_url": None, "webhook_secret": None, "secret": None}
    if seal is None:
        raise InvalidSpec("there is no key to keep a webhook with", field="webhook")
    secret = None if webhook.secret is None else seal.close(webhook.secret)
    return {"webhook_url": seal.close(webhook.url), "webhook_secret": secret, "secret": None}


def opened(row: Row[Any], seal: Seal | None) -> WebhookSpec | None:
    """Return the webhook of a recurrence's row, whole.

    Raises:
        NotOpened: the key is not at hand.
    """
    webhook = RecurrenceSpec.model_validate(row.spec).webhook
    if webhook is None:
        return None
    if row.webhook_url is None:  # from before webhooks were sealed
        return webhook.model_copy(update={"secret": row.secret})
    if seal is None:
        raise NotOpened("there is no key to read the webhook with")
    secret = None if row.webhook_secret is None else seal.open(row.webhook_secret)
    return webhook.model_copy(update={"url": seal.open(row.webhook_url), "secret": secret})


def is_signed(row: Row[Any]) -> bool:
    """Tell whether there is a secret that signs the messages."""
    return row.webhook_secret is not None or row.secret is not None


def seal_earlier(store: Store, seal: Seal) -> int:
    """Seal the webhooks that an earlier version has kept in clear; return how many there were.

    Raises:
        InvalidSpec: there are some, and no key to seal them with.
    """
    in_clear = select(recurrences).where(recurrences.c.webhook_url.is_(None))
    with store.begin() as connection:
        rows = [row for row in connection.execute(in_clear.with_for_update()) if row.spec["webhook"] is not None]
        for row in rows:
            webhook = opened(row, None)
            values: dict[str, Any] = {"spec": {**row.spec, "webhook": readable(webhook)}, **closed(webhook, seal)}
            connection.execute(update(recurrences).where(recurrences.c.id == row.id).values(values))
    return len(rows)
