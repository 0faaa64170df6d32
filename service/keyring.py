"""What opens the service, as this process knows it: at most a second old, and nothing where the store is away."""

from __future__ import annotations

import hmac
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from search_spaces.log import bind
from search_spaces.problems import StoreUnavailable
from store import Store
from store.tokens import USE_SECONDS, Key, Keys, digest_of, keys_of, note_use

log = bind(__name__)
FRESH_SECONDS = 1.0
"""A token that was revoked by another process opens this one no longer than that."""


@dataclass
class Keyring:
    """The store's keys, read again when they are older than a second; safe to share among threads.

    One statement a second, whatever is asked for how often: wrong tokens cost the store nothing.
    """

    store: Store
    clock: Callable[[], float] = time.monotonic
    _keys: Keys | None = None
    _read_at: float = 0.0
    _noted: dict[int, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def fresh(self) -> Keys | None:
        """The keys, unless they have to be read again."""
        return self._keys if self.clock() - self._read_at < FRESH_SECONDS else None

    def current(self) -> Keys:
        """Return the keys, reading them if they are too old.

        Raises:
            StoreUnavailable: they are, and the store is away: then nobody is let in.
        """
        with self._lock:
            keys = self.fresh
            if keys is None:
                asked_at = self.clock()  # before, so that a revocation meanwhile is seen a second from now
                keys = keys_of(self.store)
                self._keys, self._read_at = keys, asked_at
            return keys

    def forget(self) -> None:
        """Read the keys anew at the next question: this process has just changed them."""
        with self._lock:  # or a reading under way would put the old ones back
            self._keys = None

    def is_due(self, key: Key) -> bool:
        """Tell, once a minute, that a key's use has to be noted."""
        now = self.clock()
        if now - self._noted.get(key.row, -USE_SECONDS) < USE_SECONDS:
            return False
        self._noted = {row: at for row, at in self._noted.items() if now - at < USE_SECONDS} | {key.row: now}
        return True

    def note(self, key: Key) -> None:
        """Write that a key was used; a store that takes nothing just now must not fail the request."""
        try:
            note_use(self.store, [key.row])
        except StoreUnavailable as problem:
            log.warning("last_use_not_written", token=key.token, detail=problem.detail)


def found(keys: Keys, secret: str, *, session: bool) -> Key | None:
    """Return what a secret opens, as a token or as a session's cookie.

    It is looked up by its SHA-256, of which a caller cannot choose the digits, and compared in constant time.
    """
    digest = digest_of(secret)
    key = keys.by_digest.get(digest)
    if key is None or key.is_session != session or not hmac.compare_digest(key.digest, digest):
        return None
    return key
