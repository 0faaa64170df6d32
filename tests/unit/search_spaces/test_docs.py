"""The examples in the docstrings are executed, and every family says what a catalogue needs."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import search_spaces
from search_spaces.optimizers import OPTIMIZERS
from search_spaces.schedules import FAMILIES

MODULES = [module.name for module in pkgutil.walk_packages(search_spaces.__path__, "search_spaces.")]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_are_right(name: str) -> None:
    """Every doctest of the package gives what it shows."""
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.parametrize("kind", FAMILIES)
def test_a_family_says_what_it_is(kind: str) -> None:
    """Formula and source are there, and the docstring shows an example with numbers."""
    cls = FAMILIES[kind]

    assert cls.law
    assert cls.source
    assert ">>>" in (cls.__doc__ or "") or kind == "script"


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_an_optimizer_says_where_it_is_from(kind: str) -> None:
    """Title and origin are there."""
    assert OPTIMIZERS[kind].title
    assert OPTIMIZERS[kind].origin


def test_the_public_names_are_there() -> None:
    """What the package lists it has."""
    assert all(hasattr(search_spaces, name) for name in search_spaces.__all__)
