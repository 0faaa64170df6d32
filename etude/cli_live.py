"""Tables that are redrawn in place: `etude status --live`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from search_spaces.problems import StoreUnavailable
from search_spaces.results import StudyView

from .client import Client
from .http import ServiceUnreachable
from .pace import ENDED
from .progress import tally
from .show import stdout_console, studies_table, study_parts, workers_table

EVERY_SECONDS = 2.0
MOST_STUDIES = 30
"""A table is drawn on one screen: the latest studies."""
Look = Callable[[], tuple[Iterable[RenderableType], bool]]
"""Gives what is to be seen now, and whether it will change no more."""


def follow_list(client: Client, every: float) -> None:
    """Show the latest studies, those under way with their trials, and the live workers, until Ctrl-C."""

    def look() -> tuple[Iterable[RenderableType], bool]:
        studies = [view for view, _ in zip(client.list(), range(MOST_STUDIES), strict=False)]
        workers = [worker for worker in client.workers() if worker.live]
        parts: list[RenderableType] = [studies_table(studies) if studies else Text("no studies yet"), ""]
        parts += [Text(f"{view.name}: {tally(view)}", style="dim") for view in studies if view.state not in ENDED]
        parts += [workers_table(workers) if workers else Text("no live workers")]
        return parts, False

    redraw(look, every)


def follow_study(client: Client, name: str, every: float) -> None:
    """Show one study until it has ended, or until Ctrl-C."""

    def look() -> tuple[Iterable[RenderableType], bool]:
        view: StudyView = client.get(name)
        return study_parts(view), view.state in ENDED

    redraw(look, every)


def redraw(
    look: Look, every: float, console: Console | None = None, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Draw what `look` gives, again each `every` seconds; through an outage the last that was seen stays.

    Raises:
        ServiceUnreachable: nobody answers at the first look.
    """
    shown, over = look()
    with Live(console=console or stdout_console(), auto_refresh=False) as live:
        note = ""
        while not over:
            live.update(Group(*shown, Text(_foot(every, note), style="dim")), refresh=True)
            try:
                sleep(every)
                shown, over = look()
                note = ""
            except (ServiceUnreachable, StoreUnavailable) as error:
                note = f"; waiting through an outage: {error}"
            except KeyboardInterrupt:
                return
        live.update(Group(*shown), refresh=True)


def _foot(every: float, note: str) -> str:
    return f"{datetime.now(UTC):%H:%M:%S} UTC, every {every:g} s; Ctrl-C ends the looking, not the study{note}"
