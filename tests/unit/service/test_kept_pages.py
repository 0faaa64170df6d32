"""Kept pages: many who look cost one drawing, and nobody sees an ended study as it was before."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any

from fastapi.responses import HTMLResponse

from search_spaces.results import BudgetUse, Counts, StudyView
from service.pages.kept import KEPT, LIVE_SECONDS, TIMES_AS_LONG, KeptPages
from tests.studies import study_spec

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def view(state: str = "running", name: str = "mine", **fields: Any) -> StudyView:
    use = BudgetUse(trials=10, used_trials=0, used_worker_seconds=0.0)
    told = {"created_at": NOW, "updated_at": NOW} | fields
    return StudyView(name=name, state=state, spec=study_spec(name), budget=use, counts=Counts(), **told)


class Artist:
    """Draws a page that counts how many there were."""

    def __init__(self) -> None:
        self.drawn = 0

    def __call__(self) -> HTMLResponse:
        self.drawn += 1
        return HTMLResponse(str(self.drawn))


def test_a_live_study_is_drawn_at_most_once_a_second() -> None:
    """Within the second everybody gets the same page, said to be an older one; after it a new one."""
    times = [10.0]
    pages, draw = KeptPages(lambda: times[0]), Artist()

    first, second = pages.of(view(), draw), pages.of(view(), draw)
    times[0] += LIVE_SECONDS
    third = pages.of(view(), draw)

    assert second.body == first.body
    assert ("Age" in first.headers, second.headers["Age"], "Age" in third.headers) == (False, "1", False)
    assert draw.drawn == 2


def test_a_page_that_takes_long_to_draw_is_kept_for_longer() -> None:
    """Ten times as long as it took: drawing never takes more than a tenth of a processor, whoever looks."""
    times = [0.0]
    pages, draw = KeptPages(lambda: times[0]), Artist()

    def slowly() -> HTMLResponse:
        times[0] += 0.5
        return draw()

    pages.of(view(), slowly)
    times[0] = 0.1 + TIMES_AS_LONG * 0.4
    pages.of(view(), slowly)
    kept = draw.drawn
    times[0] = TIMES_AS_LONG * 0.5
    pages.of(view(), slowly)

    assert (kept, draw.drawn) == (1, 2)


def test_a_study_whose_state_has_changed_is_drawn_at_once() -> None:
    """An end is never shown late; afterwards the page is kept for good."""
    times = [10.0]
    pages, draw = KeptPages(lambda: times[0]), Artist()
    pages.of(view(), draw)

    done = pages.of(view("done"), draw)
    times[0] += 1e6
    later = pages.of(view("done"), draw)

    assert draw.drawn == 2
    assert later is done
    assert "Age" not in later.headers


def test_a_study_of_the_same_name_is_another_one() -> None:
    """Deleted and submitted again: told apart by when it was made."""
    pages, draw = KeptPages(), Artist()
    pages.of(view("done"), draw)

    pages.of(view("done", created_at=datetime(2026, 1, 2, tzinfo=UTC)), draw)

    assert draw.drawn == 2


def test_those_who_come_while_it_is_drawn_wait_for_it() -> None:
    """Two at once: one drawing."""
    pages, draw = KeptPages(lambda: 10.0), Artist()
    begun, go_on = threading.Event(), threading.Event()
    got: list[HTMLResponse] = []

    def slowly() -> HTMLResponse:
        begun.set()
        assert go_on.wait(10)
        return draw()

    threads = [threading.Thread(target=lambda: got.append(pages.of(view(), slowly))) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert begun.wait(10)
    go_on.set()
    for thread in threads:
        thread.join(10)

    assert draw.drawn == 1
    assert got[0].body == got[1].body


def test_a_drawing_that_fails_is_tried_again() -> None:
    """What went wrong once is not kept."""
    pages, draw = KeptPages(), Artist()

    def broken() -> HTMLResponse:
        raise OSError("the store is away")

    try:
        pages.of(view("done"), broken)
    except OSError:
        pages.of(view("done"), draw)

    assert draw.drawn == 1


def test_only_so_many_pages_are_kept() -> None:
    """The one that nobody has looked at for longest goes first."""
    pages, draw = KeptPages(), Artist()
    for place in range(KEPT + 1):
        pages.of(view("done", f"study-{place}"), draw)

    pages.of(view("done", f"study-{KEPT}"), draw)
    pages.of(view("done", "study-0"), draw)

    assert draw.drawn == KEPT + 2
