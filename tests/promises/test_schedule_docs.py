"""The pages on schedules: what they show is what runs."""

from __future__ import annotations

import re

import pytest
from pydantic import TypeAdapter

from search_spaces.optimizers import OPTIMIZERS
from search_spaces.schedules import FAMILIES, AnySchedule, Schedule, check_horizon
from service.gallery import EXAMPLES, MODIFIED, UNDRAWN, file_name, page, picture
from tests.machine import ROOT

DOCS = ROOT / "docs"
SOURCES = (DOCS / "sources.md").read_text()
SPECS = re.findall(r"`(\{.*?\})`[;|\s]", SOURCES)


@pytest.mark.parametrize("text", SPECS)
def test_every_spec_of_the_sources_page_is_one(text: str) -> None:
    """A spec on the page validates and fits an ordinary horizon."""
    schedule: Schedule = TypeAdapter(AnySchedule).validate_json(text)

    check_horizon(schedule, 1000)


def test_the_sources_page_shows_what_it_should() -> None:
    """Every row of the schedules' table has a spec, and every optimizer that it names exists."""
    schedules, optimizers = SOURCES.split("## Optimizers")
    rows = [line for line in schedules.splitlines() if line.startswith("| ") and "its name" not in line]
    kinds = re.findall(r"^\| [A-E, ]+ \| [^|]+ \| (.+) \|$", optimizers, re.MULTILINE)

    assert len(SPECS) == len(rows) == 24
    assert {kind for cell in kinds for kind in re.findall(r"`(\w+)`", cell)} <= set(OPTIMIZERS)


def test_the_gallery_has_every_kind() -> None:
    """A picture of each kind but the script's own, and the page as its command writes it."""
    assert set(EXAMPLES) == set(FAMILIES) - {UNDRAWN}
    assert (DOCS / "gallery.md").read_text() == page()


@pytest.mark.parametrize("title", [*EXAMPLES, *MODIFIED])
def test_a_picture_of_the_gallery_is_of_its_spec(title: str) -> None:
    """Each picture is there, and drawing it again gives one of the same curve."""
    stored = (DOCS / "images" / "schedules" / file_name(title)).read_text()

    drawn = picture(title, (EXAMPLES | MODIFIED)[title]).decode()

    assert line_of(drawn) == line_of(stored)


def line_of(svg: str) -> str:
    """The path of the curve itself."""
    found = re.search(r'<path d="([^"]+)" clip-path="[^"]*" style="fill: none; stroke: #2257a3', svg)
    assert found is not None
    return found.group(1)
