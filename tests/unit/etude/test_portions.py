"""A verb that is longer than a request may be, divided: every part is small enough, and nothing is left out."""

from __future__ import annotations

from typing import Any

from etude.portions import Portion, portions
from search_spaces.work import (
    FinishItem,
    FinishRequest,
    Held,
    ReleaseItem,
    ReleaseRequest,
    RenewRequest,
    Report,
    ReportItem,
    ReportRequest,
)

LIMIT = 2000


def reports(count: int) -> list[Report]:
    """Return reports at the steps 0, 1, ..."""
    return [Report(step=step, value=float("inf") if step % 7 == 0 else step / 3) for step in range(count)]


def key(number: int) -> dict[str, Any]:
    return {"study": "é", "number": number, "lease": f"lease of {number}"}


def divided(request: Any) -> list[Portion]:
    """Divide a request; each part is small enough, and has a place for each of its items."""
    made = list(portions(request, LIMIT))
    assert all(len(portion.request.model_dump_json().encode()) <= LIMIT for portion in made)
    assert all(len(portion.places) == len(portion.request.items) for portion in made)
    return made


def told(made: list[Portion], number: int) -> list[int]:
    """The steps that the parts report of a trial, in the order in which they are sent."""
    items = [item for portion in made for item in portion.request.items if item.number == number]
    return [report.step for item in items for report in getattr(item, "reports", [])]


def test_reports_of_many_trials() -> None:
    """Short items share requests; a long one goes in parts, in order, and says the rest of it once, at its end."""
    long = ReportItem(**key(1), reports=reports(200), checkpoint="file", worker_seconds=3.0, resumed_step=5)
    short = [ReportItem(**key(number), reports=reports(3)) for number in range(2, 6)]

    made = divided(ReportRequest(worker="w", items=[short[0], long, *short[1:]]))

    assert {portion.verb for portion in made} == {"report"}
    assert all(told(made, item.number) == [report.step for report in item.reports] for item in [long, *short])
    parts = [item for portion in made for item in portion.request.items if item.number == 1]
    assert [(part.checkpoint, part.worker_seconds) for part in parts][:-1] == [(None, 0.0)] * (len(parts) - 1)
    assert (parts[-1].checkpoint, parts[-1].worker_seconds, parts[-1].resumed_step) == ("file", 3.0, 5)
    assert {place for portion in made for place in portion.places} == set(range(5))
    assert len(made) < 12
    assert all(portion.request.deciding for portion in made)


def test_a_long_finish_sends_its_reports_before_it() -> None:
    """They go ahead without deciding, since the training has ended; the finishes follow, none left out."""
    long = FinishItem(**key(0), state="complete", value=0.5, steps_done=99, reports=reports(100))
    short = FinishItem(**key(1), state="failed", error="diverged", reports=reports(2))

    made = divided(FinishRequest(worker="w", items=[long, short]))

    verbs = [portion.verb for portion in made]
    assert verbs == ["report"] * (len(made) - 1) + ["finish"]
    assert not any(portion.request.deciding for portion in made[:-1])
    assert made[-1].request.items == [long.model_copy(update={"reports": []}), short]
    assert told(made, 0) == list(range(100))
    assert told(made, 1) == [0, 1]


def test_what_cannot_be_told_fails_alone() -> None:
    """A result too long beside its reports ends its trial as failed, with the reason; its neighbour is as it was."""
    vast = FinishItem(**key(0), state="complete", value=0.5, reports=reports(2), metrics={"m" * LIMIT: 1.0})
    fine = FinishItem(**key(1), state="complete", value=0.25)

    made = divided(FinishRequest(worker="w", items=[vast, fine]))

    ended = {item.number: item for item in made[-1].request.items}
    assert ended[0].state == "failed"
    assert "too_large" in ended[0].error
    assert ended[1] == fine
    assert told(made, 0) == [0, 1]


def test_a_checkpoint_that_cannot_be_told_fails_alone() -> None:
    """So does a trial whose checkpoint's name is too long; those beside it are reported on, or released."""
    vast, fine = {**key(0), "checkpoint": "c" * LIMIT, "worker_seconds": 2.0}, key(1)

    reported = divided(ReportRequest(worker="w", items=[ReportItem(**vast, reports=reports(1)), ReportItem(**fine)]))
    released = divided(ReleaseRequest(worker="w", items=[ReleaseItem(**vast), ReleaseItem(**fine)]))

    assert [portion.verb for portion in reported] == ["report", "finish"]
    assert [portion.verb for portion in released] == ["release", "finish"]
    assert released[0].places == (1,)
    assert released[1].places == (0,)
    assert released[1].request.items[0].worker_seconds == 2.0


def test_renewals() -> None:
    """Leases of any number of trials are renewed, each once and in order."""
    items = [Held(**key(number)) for number in range(100)]

    made = divided(RenewRequest(worker="w", items=items))

    assert [item for portion in made for item in portion.request.items] == items
    assert [place for portion in made for place in portion.places] == list(range(100))
