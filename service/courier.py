"""The courier: takes messages from the outbox and hands them over, again and again with backoff.

A message is taken for a while and its attempt counted before it is sent. A courier that dies leaves it to be sent
again, so a message comes at least once, and its id says which it is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from search_spaces.log import bind
from search_spaces.problems import StoreUnavailable
from store import Store
from store.outbox import Message, settle_message, take_message
from store.sealing import Seal

from .telling import TYPES, body_of
from .webhooks import Allowed, NotDelivered, post, signature

log = bind(__name__)

ROUND_SECONDS = 2.0
OUTAGE_SECONDS = 5.0
HOLD_SECONDS = 60.0
"""How long a message is a courier's: longer than an attempt takes."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 10.0, 3600.0
ATTEMPTS = 12
"""After so many, in about six hours, a message is given up."""


class Courier:
    """Sends what recurrences of a store have to tell; any number of couriers may."""

    def __init__(
        self, store: Store, allowed: Allowed, seal: Seal | None = None, wall: Callable[[], float] = time.time
    ) -> None:
        self.store = store
        self._seal = seal
        self._allowed = allowed
        self._wall = wall
        """Seconds since 1970 for the signature, by which a receiver refuses an old message."""

    def work(self, stop: threading.Event) -> None:
        """Work until `stop` is set, through outages of the store."""
        pause = 0.0
        while not stop.wait(pause):
            try:
                pause = 0.0 if self.round() else ROUND_SECONDS
            except StoreUnavailable as problem:
                log.warning("store_unavailable", detail=problem.detail)
                pause = OUTAGE_SECONDS
            except Exception:
                log.exception("courier_round_failed_and_is_taken_again")
                pause = OUTAGE_SECONDS

    def round(self) -> bool:
        """Try to hand over the message that is due, if there is one; tell whether there was.

        Raises:
            StoreUnavailable: the store cannot be reached just now.
        """
        message = take_message(self.store, HOLD_SECONDS, self._seal)
        if message is None:
            return False
        error = self._send(message)
        settle_message(self.store, message.key, error, _again(message))
        if error is not None:
            log.warning("not_delivered", recurrence=message.recurrence, attempt=message.attempts + 1, reason=error)
        return True

    def _send(self, message: Message) -> str | None:
        """Send a message; say what went wrong, None where nothing did."""
        webhook = message.webhook
        if message.trouble is not None:
            return message.trouble
        if webhook is None:
            return None  # nobody is to be told any more
        body, at = body_of(webhook.format, message.event, message.content), int(self._wall())
        headers = {
            "Content-Type": TYPES[webhook.format],
            "User-Agent": "etude",
            "X-Etude-Event": message.event,
            "X-Etude-Delivery": str(message.key),
        }
        if webhook.secret is not None:
            headers["X-Etude-Signature"] = signature(webhook.secret, at, body)
        try:
            post(webhook.url, body, headers, self._allowed)
        except NotDelivered as problem:
            return str(problem)
        return None


def _again(message: Message) -> float | None:
    """Return the pause before the next attempt, in seconds; None where there is none."""
    if message.attempts + 1 >= ATTEMPTS:
        return None
    return min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 3.0**message.attempts)
