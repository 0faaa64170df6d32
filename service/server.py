"""The HTTP server of one process: when it is ready, and how it ends.

SIGTERM or SIGINT: `/readyz` answers 503 from that moment on; for the drain period everything else is served as before,
so that a balancer notices; then no connection is taken any more, streams of events end, requests in flight are
answered, and after 10 s whoever is left is cut off. A second signal skips the drain period.
"""

from __future__ import annotations

import gc
import math
import socket
import time
from collections.abc import Callable
from types import FrameType

import uvicorn
from fastapi import FastAPI

LAST_ANSWERS_SECONDS = 10
"""How long requests in flight may take once no connection is taken any more."""


class Server(uvicorn.Server):
    """uvicorn's, for an application of `create_app`; `say_ready` is called when it listens."""

    def __init__(self, application: FastAPI, drain_seconds: float, say_ready: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                application,
                access_log=False,  # the application logs requests itself
                log_config=None,  # as the rest of the process
                lifespan="off",
                ws="none",
                timeout_graceful_shutdown=LAST_ANSWERS_SECONDS,
            )
        )
        self._application = application
        self._drain_seconds = drain_seconds
        self._say_ready = say_ready
        self._stop_at = math.inf  # on the monotonic clock

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        # What is imported by now stays: looking through it for garbage again and again would hold every request up
        # for 100 ms and more.
        gc.collect()
        gc.freeze()
        self._say_ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take a signal: the drain period begins, and a second one ends it."""
        self._application.state.readiness.stop()
        if self._stop_at < math.inf or self._drain_seconds == 0:
            super().handle_exit(sig, frame)
        else:
            self._captured_signals.append(sig)
            self._stop_at = time.monotonic() + self._drain_seconds

    async def on_tick(self, counter: int) -> bool:
        """Tell whether to stop; asked ten times a second."""
        self.should_exit = self.should_exit or time.monotonic() >= self._stop_at
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End: streams first, which would hold the end up."""
        self._application.state.feeds.close()
        await super().shutdown(sockets)
