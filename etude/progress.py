"""What a person sees while a study is under way: a live bar in a terminal or a notebook, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.util import find_spec
from types import TracebackType
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from search_spaces.results import StudyView

from .pace import CONFIRMING, ENDED, planned_confirmation

PLAIN_SECONDS = 5.0
BEST_SCORE = "best search score"
"""What the best of many noisy trials is called wherever it is shown: never a result."""


class Progress(Protocol):
    """Something that shows how far a study is."""

    def show(self, view: StudyView, seconds_left: float | None) -> None:
        """Show the study as it is now."""

    def note(self, text: str) -> None:
        """Show something that happened aside."""

    def __enter__(self) -> Progress: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Silence:
    """Shows nothing."""

    def show(self, view: StudyView, seconds_left: float | None) -> None:
        """Show nothing."""

    def note(self, text: str) -> None:
        """Show nothing."""

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class PlainLines(Silence):
    """A line at every change, at most one in five seconds; each change of state gets its own."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._next = 0.0
        self._said = ""
        self._state = ""

    def show(self, view: StudyView, seconds_left: float | None) -> None:
        """Print the study's line where it is due."""
        line = f"{headline(view)}: {tally(view)}{_left(seconds_left, ', ')}{_waiting(view, '; ')}"
        now = self._clock()
        due = view.state != self._state or (now >= self._next and line != self._said)
        if due:
            self._console.print(line, soft_wrap=True)
            self._next, self._said, self._state = now + PLAIN_SECONDS, line, view.state

    def note(self, text: str) -> None:
        """Print the text."""
        self._console.print(text, soft_wrap=True)


class LiveBar(Silence):
    """One bar with its tally below, redrawn in place; the search's last bar stays above the confirmation's."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, auto_refresh=False)
        self._confirming = False

    def show(self, view: StudyView, seconds_left: float | None) -> None:
        """Redraw the bar; a study that has ended keeps the bar of its last phase."""
        if view.state in CONFIRMING and not self._confirming:
            self._live.console.print(_bar(view, None, confirming=False))
        self._confirming = view.state in CONFIRMING or (view.state in ENDED and self._confirming)
        self._live.update(_bar(view, seconds_left, confirming=self._confirming), refresh=True)

    def note(self, text: str) -> None:
        """Print the text above the bar."""
        self._live.console.print(text, soft_wrap=True)

    def __enter__(self) -> Progress:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()


def progress_on(console: Console, wanted: bool) -> Progress:
    """Return what suits the console: a bar in a terminal or a notebook, lines elsewhere, nothing where unwanted."""
    if not wanted:
        return Silence()
    return LiveBar(console) if console.is_terminal or _in_notebook(console) else PlainLines(console)


def _in_notebook(console: Console) -> bool:
    # Redrawing a notebook's output is the widgets' work; without them rich would only warn.
    return console.is_jupyter and find_spec("ipywidgets") is not None


def stderr_console() -> Console:
    """The console for what is not the result: progress and remarks go to stderr."""
    return Console(stderr=True, highlight=False)


def headline(view: StudyView) -> str:
    """Say the phase and how far it is: "search 23/40"; an ended study is called by its state."""
    phase, ended, planned = _phase(view, view.state in CONFIRMING)
    return f"{view.state if view.state in ENDED else phase} {ended}/{planned}"


def tally(view: StudyView, *, confirming: bool | None = None) -> str:
    """Count the trials of a phase (default: the one that the study is in) in words, with the best search score."""
    if view.state in CONFIRMING if confirming is None else confirming:
        counts = view.confirmation
        return ", ".join([f"{counts.complete} complete", f"{counts.leased} running", *_if_any(counts.failed, "failed")])
    counts = view.counts
    words = [f"{counts.complete} complete", f"{counts.pruned} pruned", f"{counts.leased} running"]
    words += [*_if_any(counts.failed, "failed"), *_if_any(counts.foreign, "foreign")]
    if view.best is not None:
        words.append(f"{BEST_SCORE} {view.metric or 'value'} {view.best.value:.4g}")
    return ", ".join(words)


def say_seconds(seconds: float) -> str:
    """Say a duration as people do.

    >>> say_seconds(41.4), say_seconds(80), say_seconds(7380)
    ('41 s', '1 min 20 s', '2 h 3 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _phase(view: StudyView, confirming: bool) -> tuple[str, int, int]:
    if confirming:
        return "confirmation", view.confirmation.ended, planned_confirmation(view)
    waiting = f" ({view.state})" if view.state in {"queued", "paused"} else ""
    return f"search{waiting}", view.counts.ended, view.budget.trials


def _if_any(count: int, word: str) -> list[str]:
    return [f"{count} {word}"] if count else []


def _left(seconds: float | None, before: str) -> str:
    return "" if seconds is None else f"{before}about {say_seconds(seconds)} left"


def _waiting(view: StudyView, before: str) -> str:
    """Say what a study under way waits for; an ended one says its reason elsewhere."""
    return f"{before}{view.reason}" if view.reason and view.state not in ENDED else ""


def _bar(view: StudyView, seconds_left: float | None, *, confirming: bool) -> Group:
    phase, ended, planned = _phase(view, confirming)
    line = Table.grid(padding=(0, 2))
    line.add_row(
        Text(f"{phase:<12}", style="bold"),
        ProgressBar(total=max(planned, 1), completed=ended, width=32),
        f"{ended}/{planned}",
        _left(seconds_left, ""),
    )
    return Group(line, Text(f"{'':<14}{tally(view, confirming=confirming)}{_waiting(view, '; ')}", style="dim"))
