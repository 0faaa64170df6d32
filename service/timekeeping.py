"""The clock and the courier of one process, each in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from store import Store

from .clock import Clock
from .courier import Courier
from .pulse import pulse_of
from .sealing import seal_of
from .settings import Settings
from .supervision import Supervised
from .webhooks import Allowed

STOP_SECONDS = 5.0
"""How long an end waits for what is under way; the store bears an end at any moment."""


class Timekeeping:
    """Keeps time for a store's recurrences from the beginning of a `with` block to its end."""

    def __init__(self, store: Store, settings: Settings, coordinator: Supervised | None = None) -> None:
        nudge = None if coordinator is None else coordinator.nudge
        self._stop = threading.Event()
        clock = Clock(store, nudge=nudge, pulse=pulse_of(settings.pulse_file))
        courier = Courier(store, Allowed.by(settings), seal_of(settings))
        self._threads = [self._thread("clock", clock.work), self._thread("courier", courier.work)]

    def _thread(self, name: str, work: Callable[[threading.Event], None]) -> threading.Thread:
        return threading.Thread(target=work, args=(self._stop,), name=name, daemon=True)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(STOP_SECONDS)
