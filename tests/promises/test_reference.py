"""docs/reference.md says what the sources and the service say of themselves."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from etude import Client
from search_spaces.problems import PROBLEMS
from tests.machine import ROOT
from tests.promises.test_openapi import PROMISED
from tests.reference import reference


@pytest.fixture(scope="module")
def page() -> str:
    return reference()


def test_the_page_is_what_the_command_prints(page: str) -> None:
    """`python -m tests.reference > docs/reference.md` has been run since the last change of a docstring or a route."""
    written = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")

    assert written == page


def test_every_method_of_the_client_is_in_it(page: str) -> None:
    """Nothing that a user may call is left out."""
    public = [name for name, value in vars(Client).items() if callable(value) and not name.startswith("_")]

    assert len(public) > 20
    assert [name for name in public if f"**`Client.{name}(" not in page] == ["view"]  # another name of `get`


def test_every_route_and_every_problem_is_in_it(page: str) -> None:
    """What DESIGN promises, and each code with its class."""
    routes = [(method.upper(), path) for method, path in (route.split() for route in PROMISED)]

    assert [route for route in routes if f"\n### {route[0]} {route[1]}\n" not in page] == []
    assert [code for code in PROBLEMS if f"\n| `{code}` | " not in page] == []


def test_links_lead_somewhere(page: str) -> None:
    """To a file beside it, or to one of its own headings."""
    headings = {
        re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in re.findall(r"^#+ (.+)$", page, re.M)
    }
    targets = {target for target in re.findall(r"\]\(([^)]+)\)", page) if "://" not in target}
    places = {target[1:] for target in targets if target.startswith("#")}
    files = [Path(target.partition("#")[0]) for target in targets if not target.startswith("#")]

    assert len(places) > 50
    assert places - headings == set()
    assert [file for file in files if not (ROOT / "docs" / file).exists()] == []
