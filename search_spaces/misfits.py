"""Why a candidate is no point of a space, in words."""

from __future__ import annotations

from functools import partial
from typing import Any

from .candidate import Candidate
from .points import Space, alike, flat
from .ranges import AnyRange, Choice, Scalar


class _MisfitError(Exception):
    """A value is missing, or no point of its range."""


def misfit(space: Space, candidate: Candidate) -> str | None:
    """Say what of a candidate lies outside a space; None where the candidate is a point of it."""
    if space.params_of(candidate) is not None:
        return None
    try:
        nearest, _ = space.suggest(partial(_pick, flat(candidate)))
    except _MisfitError as error:
        return str(error)
    return _difference("", nearest.model_dump(), candidate.model_dump()) or "it is no point of the space"


def _pick(known: dict[str, Scalar], name: str, range_: AnyRange) -> Scalar:
    if name not in known:
        raise _MisfitError(f"it has no {name}, which the study searches")
    value = known[name]
    if not range_.holds(value):
        raise _MisfitError(f"{name} is {value}, and the study searches {_words(range_)}")
    return range_.nearest(value)


def _words(range_: AnyRange) -> str:
    if isinstance(range_, Choice):
        return ", ".join(str(choice) for choice in range_.choices)
    return f"{range_.low:g} ... {range_.high:g}"


def _difference(path: str, searched: Any, given: Any) -> str | None:
    """Name the first place at which two documents differ; the study has one value there and does not search it."""
    if alike(searched, given):
        return None
    if not (isinstance(searched, dict) and isinstance(given, dict)):
        return f"{path} is {given}, and the study keeps it at {searched}"
    for key in dict.fromkeys([*given, *searched]):
        found = _difference(f"{path}.{key}" if path else key, searched.get(key), given.get(key))
        if found is not None:
            return found
    return None
