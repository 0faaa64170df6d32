"""What a figure of a page is: a picture with what it shows in words, in a legend and in numbers."""

from __future__ import annotations

from dataclasses import dataclass, field

from markupsafe import Markup


@dataclass(frozen=True)
class Numbers:
    """What a figure shows, as a table: texts by row, under their head."""

    head: list[str]
    rows: list[list[str]]


@dataclass(frozen=True)
class Entry:
    """One entry of a legend; `place` names the colour."""

    label: str
    place: int


@dataclass(frozen=True)
class Figure:
    """A picture for a page with what it shows in words."""

    name: str
    heading: str
    caption: str
    svg: Markup
    legend: list[Entry] = field(default_factory=list)
    numbers: Numbers | None = None
