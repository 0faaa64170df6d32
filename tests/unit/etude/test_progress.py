"""What is shown while a study is under way."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from etude.progress import LiveBar, PlainLines, Silence, progress_on
from tests.unit.etude.answers import study_view

COUNTS = {"complete": 12, "pruned": 9, "leased": 2}
BEST = {"trial": 17, "value": 0.21344}


def console(*, terminal: bool = False) -> tuple[Console, io.StringIO]:
    text = io.StringIO()
    return Console(file=text, force_terminal=terminal, width=100, color_system=None, legacy_windows=False), text


def test_a_plain_line_holds_counts_best_and_time_left() -> None:
    """Everything that a person waits for stands in one line."""
    out, text = console()

    PlainLines(out).show(study_view(counts=COUNTS, best=BEST), 80.0)

    expected = (
        "search 21/40: 12 complete, 9 pruned, 2 running, best search score val_loss 0.2134, about 1 min 20 s left\n"
    )
    assert text.getvalue() == expected


def test_plain_lines_come_at_most_every_five_seconds_but_at_every_change_of_state() -> None:
    """A log is not flooded, and a phase is never missed."""
    now = 0.0
    out, text = console()
    lines = PlainLines(out, clock=lambda: now)

    for now, complete, state in ((0, 1, "running"), (1, 2, "running"), (2, 3, "confirming"), (8, 3, "confirming")):
        lines.show(study_view(state, counts={"complete": complete}, confirmation={"complete": int(now)}), None)

    assert [line.split(":")[0] for line in text.getvalue().splitlines()] == [
        "search 1/40", "confirmation 2/2", "confirmation 8/8",
    ]  # fmt: skip


def test_the_bar_shows_the_tally_below_it() -> None:
    """In a terminal the same words stand below a bar."""
    out, text = console(terminal=True)

    with LiveBar(out) as bar:
        bar.show(study_view(counts=COUNTS, best=BEST), 80.0)

    assert "21/40" in text.getvalue()
    assert "12 complete, 9 pruned, 2 running, best search score val_loss 0.2134" in text.getvalue()
    assert "about 1 min 20 s left" in text.getvalue()


@pytest.mark.parametrize("state", ["queued", "running"])
def test_what_a_study_waits_for_is_said(state: str) -> None:
    """A person sees that nobody trains it, on a plain line and below the bar; an ended study's reason is no waiting."""
    (out, text), (screen, drawn) = console(), console(terminal=True)
    view = study_view(state, reason="no live worker offers the task digits-noisy")

    PlainLines(out).show(view, None)
    PlainLines(out).show(study_view("stopped", reason="by request"), None)
    with LiveBar(screen) as bar:
        bar.show(view, None)

    assert "0 running; no live worker offers the task digits-noisy\n" in text.getvalue()
    assert "0 running; no live worker offers the task digits-noisy" in drawn.getvalue()
    assert "by request" not in text.getvalue()


def test_the_finished_search_stays_above_the_confirmation() -> None:
    """The search's bar is printed for good at its last count, and no bar says a phase that has passed."""
    out, text = console(terminal=True)

    with LiveBar(out) as bar:
        bar.show(study_view(counts={"complete": 38, "leased": 2}), None)
        bar.show(study_view("confirming", counts={"complete": 40}, confirmation={"leased": 2, "proposed": 13}), None)
        bar.show(study_view("done", counts={"complete": 40}, confirmation={"complete": 15}), None)

    frames = [line for line in text.getvalue().splitlines() if "/" in line]
    assert list(dict.fromkeys(frame.split()[-1] for frame in frames)) == ["38/40", "40/40", "0/15", "15/15"]
    assert "confirmation" in frames[-1]


def test_the_display_suits_the_console() -> None:
    """A bar in a terminal, lines elsewhere, nothing where nothing is wanted."""
    plain, terminal = console()[0], console(terminal=True)[0]

    assert isinstance(progress_on(terminal, wanted=True), LiveBar)
    assert isinstance(progress_on(plain, wanted=True), PlainLines)
    assert type(progress_on(terminal, wanted=False)) is Silence


def test_a_notebook_gets_the_bar_where_its_widgets_are_and_lines_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without widgets rich could only warn that it cannot redraw."""
    notebook = Console(force_jupyter=True, force_terminal=False)

    monkeypatch.setattr("etude.progress.find_spec", lambda _name: object())
    with_widgets = progress_on(notebook, wanted=True)
    monkeypatch.setattr("etude.progress.find_spec", lambda _name: None)
    without = progress_on(notebook, wanted=True)

    assert (type(with_widgets), type(without)) == (LiveBar, PlainLines)
