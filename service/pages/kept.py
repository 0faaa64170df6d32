"""Pages that are drawn once for all who look at the same time."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from fastapi.responses import HTMLResponse

from search_spaces.results import StudyView

from ..looking import ENDED_STUDY

LIVE_SECONDS = 1.0
"""How old the page of a study that goes on may be, at least."""
TIMES_AS_LONG = 10.0
"""A page is kept for so many times as long as it took to draw: drawing takes a tenth of one processor at most."""
KEPT = 64
"""Studies whose page is kept in memory, about 100 kB each."""


@dataclass
class _Drawn:
    """The page of one study; who finds it too old draws it, and others wait for that."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    key: tuple[object, ...] = ()
    at: float = 0.0
    took: float = 0.0
    page: HTMLResponse | None = None

    def is_due(self, key: tuple[object, ...], now: float, *, live: bool) -> bool:
        """Tell whether it has to be drawn: never before, another state, or a live study's and too old."""
        return self.page is None or self.key != key or (live and now - self.at >= self.keep)

    @property
    def keep(self) -> float:
        """For how many seconds a live study's page is kept."""
        return max(LIVE_SECONDS, TIMES_AS_LONG * self.took)


class KeptPages:
    """Reports by study, drawn again when the study has changed; while it goes on no more than now and then."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._drawn: OrderedDict[str, _Drawn] = OrderedDict()

    def of(self, view: StudyView, draw: Callable[[], HTMLResponse]) -> HTMLResponse:
        """Return the page of a study that looks like `view`, drawn by `draw` unless it is kept.

        The header `Age` says that a live study's page is an older one: there may be news that it does not show.
        """
        drawn = self._place(view.name)
        key, live = (view.created_at, view.updated_at, view.state), view.state not in ENDED_STUDY
        with drawn.lock:
            now = self._clock()
            if drawn.page is not None and not drawn.is_due(key, now, live=live):
                return _aged(drawn.page, now - drawn.at) if live else drawn.page
            page = draw()
            drawn.page, drawn.key, drawn.at = page, key, now
            drawn.took = self._clock() - now
            return page

    def _place(self, name: str) -> _Drawn:
        with self._lock:
            place = self._drawn.setdefault(name, _Drawn())
            self._drawn.move_to_end(name)
            while len(self._drawn) > KEPT:
                self._drawn.popitem(last=False)
            return place


def _aged(page: HTMLResponse, seconds: float) -> HTMLResponse:
    headers = {**page.headers, "Age": str(math.ceil(max(seconds, 1e-9)))}
    return HTMLResponse(bytes(page.body), status_code=page.status_code, headers=headers)
