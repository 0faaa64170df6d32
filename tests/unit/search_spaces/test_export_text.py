"""Every text is Python that needs nothing of ours, whatever words a client chose; what cannot be written is refused."""

from __future__ import annotations

import ast
from typing import get_args

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from search_spaces.export import Framework, export
from search_spaces.problems import HorizonTooShort, Unsupported
from search_spaces.schedules import AnySchedule, Schedule
from tests.unit.search_spaces.exported import candidate
from tests.unit.search_spaces.specs import DRAWABLE, documents

SCHEDULES = TypeAdapter[Schedule](AnySchedule)


@pytest.mark.parametrize("framework", get_args(Framework))
def test_no_text_needs_this_package(framework: Framework) -> None:
    """What is exported imports neither etude nor search_spaces."""
    text = export(candidate({"kind": "rex"}), 100, framework)

    assert "etude" not in text
    assert "search_spaces" not in text


@pytest.mark.parametrize("framework", get_args(Framework))
@pytest.mark.parametrize("kind", DRAWABLE)
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_every_text_is_python(framework: Framework, kind: str, data: st.DataObject) -> None:
    """Whatever the kind and the modifiers, it is a module that imports what it uses and does something with it."""
    schedule = SCHEDULES.validate_python(data.draw(documents(kind)))
    try:
        text = export(candidate(schedule, optimizer={"kind": "rmsprop", "momentum": 0.5}), 333, framework)
    except HorizonTooShort:
        assume(False)

    statements = ast.parse(text).body
    assert any(isinstance(one, ast.Import | ast.ImportFrom) for one in statements)
    assert any(not isinstance(one, ast.Import | ast.ImportFrom) for one in statements)


HOSTILE = ['"); raise SystemExit #', "'''\nraise SystemExit\n'''", "a\nraise SystemExit", "\\", "\ud800", "\r x = 1"]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("framework", get_args(Framework))
def test_a_client_s_words_stay_words(framework: Framework, name: str) -> None:
    """A group's name is a literal and, in comments, never more than one line; the text is plain ASCII."""
    wish = candidate({"kind": "rex"}, lr_ratios={name: 0.1})

    text = export(wish, 10, framework)

    compile(text, "<exported>", "exec")
    text.encode("ascii")
    assert not [line for line in text.splitlines() if line.strip().startswith(("raise", "x = 1"))]


@pytest.mark.parametrize("framework", ["optax", "keras"])
def test_a_plateau_is_not_written_where_it_would_be_another(framework: Framework) -> None:
    """The refusal names the field."""
    with pytest.raises(Unsupported) as caught:
        export(candidate({"kind": "plateau"}), 100, framework)

    assert caught.value.field == "framework"


def test_a_horizon_that_is_too_short_is_refused() -> None:
    """Nothing is exported that could not be drawn."""
    with pytest.raises(HorizonTooShort):
        export(candidate({"kind": "one_cycle"}), 2, "pytorch")
