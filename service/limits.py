"""What one token may ask for: requests a second, trials of a study, studies under way."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from search_spaces.problems import TooLarge, TooManyRequests
from store.tokens import MOST_TOKENS, Key, TokenShare

from .settings import Settings

BURST_SECONDS = 2.0
"""A token that was quiet may ask for as much at once as for so long in a row."""


@dataclass
class Rates:
    """A bucket of requests for each token, filled at `per_second`; kept by this process and for itself.

    With several processes behind one address a token has as many buckets. Memory is bounded by the number of tokens.
    """

    per_second: float
    clock: Callable[[], float] = time.monotonic
    _buckets: dict[int, tuple[float, float]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def spend(self, key: Key) -> None:
        """Count one request of a token or of a session begun with it.

        Raises:
            TooManyRequests: there have been too many just now.
        """
        with self._lock:
            now = self.clock()
            full = max(1.0, self.per_second * BURST_SECONDS)
            left, at = self._buckets.get(key.row, (full, now))
            left = min(full, left + (now - at) * self.per_second)
            if left < 1.0:
                wait = math.ceil((1.0 - left) / self.per_second)
                words = f"the token {key.token} may send {self.per_second:g} requests a second"
                raise TooManyRequests(words, retry_after_seconds=wait)
            if key.row not in self._buckets and len(self._buckets) >= 2 * MOST_TOKENS:
                self._forget_full(now, full)
            self._buckets[key.row] = (left - 1.0, now)

    def _forget_full(self, now: float, full: float) -> None:
        """Forget tokens that have not asked for a while: a new bucket is a full one."""
        kept = {
            row: (left, at) for row, (left, at) in self._buckets.items() if left + (now - at) * self.per_second < full
        }
        self._buckets = kept


def check_trials(settings: Settings, key: Key | None, trials: int, field_name: str = "budget.trials") -> None:
    """Refuse a study with more trials than those of a token may have; who needs no token has no limit.

    Raises:
        TooLarge: it asks for more.
    """
    if key is not None and trials > settings.token_trials:
        words = f"a study may have {settings.token_trials} trials here (ETUDE_TOKEN_TRIALS)"
        raise TooLarge(words, field=field_name, largest=settings.token_trials)


def share_of(settings: Settings, key: Key | None) -> TokenShare | None:
    """Return what a study is counted under."""
    return None if key is None else TokenShare(key.token, settings.token_studies)
