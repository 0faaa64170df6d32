"""Pages that are drawn once for all who look at the same time."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from fastapi.responses import HTMLResponse

from search_spaces.results import StudyView

from ..looking import ENDED_STUDY

LIVE_SECONDS = 1.0
"""How old the page of a study that goes on may be: drawing takes tenths of a second, whoever looks."""
KEPT = 64
"""Studies whose page is kept in memory, about 100 kB each."""


@dataclass
class _Drawn:
    """The page of one study; who finds it too old draws it, and others wait for that."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    key: tuple[object, ...] = ()
    at: float = 0.0
    page: HTMLResponse | None = None


class KeptPages:
    """Reports by study, drawn again when the study has changed; while it goes on at most once a second."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._drawn: OrderedDict[str, _Drawn] = OrderedDict()

    def of(self, view: StudyView, draw: Callable[[], HTMLResponse]) -> HTMLResponse:
        """Return the page of a study that looks like `view`, drawn by `draw` unless it is kept."""
        drawn = self._place(view.name)
        key = (view.created_at, view.updated_at, view.state)
        with drawn.lock:
            fresh = view.state in ENDED_STUDY or self._clock() - drawn.at < LIVE_SECONDS
            if drawn.page is None or drawn.key != key or not fresh:
                drawn.page = draw()
                drawn.key, drawn.at = key, self._clock()
            return drawn.page

    def _place(self, name: str) -> _Drawn:
        with self._lock:
            place = self._drawn.setdefault(name, _Drawn())
            self._drawn.move_to_end(name)
            while len(self._drawn) > KEPT:
                self._drawn.popitem(last=False)
            return place
