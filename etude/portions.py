"""A verb of more than one request's body holds, as several of them: nothing that a worker keeps is too much to send."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydantic import BaseModel

from search_spaces.problems import TooLarge
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

Request = RenewRequest | ReportRequest | FinishRequest | ReleaseRequest
Piece = tuple[int, Held]
"""An item, or a part of one, after the place of its answer."""


@dataclass(frozen=True)
class Portion:
    """One request of several; `places` are those of its items in the whole."""

    verb: str
    request: Request
    places: tuple[int, ...]


def portions(request: Request, limit: int) -> Iterator[Portion]:
    """Divide a request into some whose bodies, as JSON, have at most `limit` bytes; to be sent in their order.

    Each trial's reports stay in order, and the answer to a trial is the last that it gets. Reports of a finish that is
    too long by itself go before it, and decide nothing. A trial of which even the rest is too long (its metrics, say)
    ends as failed, with that as its error.
    """
    deciding = isinstance(request, ReportRequest)
    room = limit - _length(ReportRequest(worker=request.worker, items=[], deciding=False))
    pieces = [(place, piece) for place, item in enumerate(request.items) for piece in _pieces(item, room)]
    # The finishes come last: a finish ends what its trial's reports are about.
    for kind in (Held, ReleaseItem, ReportItem, FinishItem):
        for group in _groups([piece for piece in pieces if type(piece[1]) is kind], room):
            yield _portion(request.worker, group, deciding=deciding)


def _portion(worker: str, group: Sequence[Piece], *, deciding: bool) -> Portion:
    places = tuple(place for place, _ in group)
    items = [item for _, item in group]
    match items[0]:
        case ReportItem():
            return Portion("report", ReportRequest(worker=worker, items=items, deciding=deciding), places)
        case FinishItem():
            return Portion("finish", FinishRequest(worker=worker, items=items), places)
        case ReleaseItem():
            return Portion("release", ReleaseRequest(worker=worker, items=items), places)
    return Portion("renew", RenewRequest(worker=worker, items=items), places)


def _groups(pieces: Sequence[Piece], room: int) -> Iterator[list[Piece]]:
    """As many pieces together as there is room for, in order."""
    group: list[Piece] = []
    taken = 0
    for place, item in pieces:
        length = _length(item) + 1  # and its comma
        if group and taken + length > room:
            yield group
            group, taken = [], 0
        group.append((place, item))
        taken += length
    if group:
        yield group


def _pieces(item: Held, room: int) -> list[Held]:
    """The item itself where there is room for it, else its reports in parts and then the rest of it."""
    if _length(item) < room:
        return [item]
    rest = item.model_copy(update={"reports": []}) if isinstance(item, ReportItem | FinishItem) else item
    length = _length(rest)
    return [*_parts(item, room), rest if length < room else _too_large(item, length)]


def _parts(item: Held, room: int) -> Iterator[ReportItem]:
    reports = item.reports if isinstance(item, ReportItem | FinishItem) else []
    bare = ReportItem(study=item.study, number=item.number, lease=item.lease)
    left = room - _length(bare) - 1
    part: list[Report] = []
    taken = 0
    for report in reports:
        length = _length(report) + 1
        if part and taken + length > left:
            yield bare.model_copy(update={"reports": part})
            part, taken = [], 0
        part.append(report)
        taken += length
    if part:
        yield bare.model_copy(update={"reports": part})


def _too_large(item: Held, length: int) -> FinishItem:
    reason = f"{TooLarge.code}: beside its reports {length} bytes were to be sent, and a request has room for fewer"
    seconds = item.worker_seconds if isinstance(item, ReportItem | FinishItem | ReleaseItem) else 0.0
    return FinishItem(
        study=item.study, number=item.number, lease=item.lease, state="failed", error=reason, worker_seconds=seconds
    )


def _length(model: BaseModel) -> int:
    return len(model.model_dump_json().encode())
