"""Ranges at whose edge a night's finalist sat, made wider for the next night."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter

from search_spaces.points import Ranges
from search_spaces.ranges import AnyRange, Choice, FloatRange, IntRange, Scalar
from search_spaces.space import Space
from search_spaces.study import SpaceSpec

LOG_FACTOR = 3.0
"""By which a logarithmic range grows at an end."""
SHARE = 0.5
"""Of its width, by which another one does."""
_RANGE: TypeAdapter[AnyRange] = TypeAdapter(AnyRange)


def wider(range_: AnyRange, value: Scalar) -> AnyRange | None:
    """Return a range that goes on beyond the end at which `value` sits; None where there is nothing beyond.

    >>> wider(FloatRange(low=0.001, high=0.1, log=True), 0.1).high
    0.3
    """
    if isinstance(range_, Choice) or not isinstance(value, int | float):
        return None
    if isinstance(range_, IntRange):
        return _wider_whole(range_, value)
    at_low = _is_low(range_, value)
    if range_.log:
        ends = (range_.low / LOG_FACTOR, range_.high) if at_low else (range_.low, _short(range_.high * LOG_FACTOR))
    elif range_.one_minus:
        low, high = 1 - LOG_FACTOR * (1 - range_.low), 1 - (1 - range_.high) / LOG_FACTOR
        ends = (max(0.0, low), range_.high) if at_low else (range_.low, high)
    else:
        ends = _wider_evenly(range_, at_low=at_low)
    if ends == (range_.low, range_.high):
        return None
    return FloatRange(low=_short(ends[0]), high=_short(ends[1]), log=range_.log, one_minus=range_.one_minus)


def _wider_whole(range_: IntRange, value: float) -> IntRange:
    further = max(1, round(SHARE * (range_.high - range_.low)))
    if value == range_.low:
        return IntRange(low=range_.low - further, high=range_.high)
    return IntRange(low=range_.low, high=range_.high + further)


def _wider_evenly(range_: FloatRange, *, at_low: bool) -> tuple[float, float]:
    further = SHARE * (range_.high - range_.low)
    if not at_low:
        return range_.low, range_.high + further
    # What begins at or above 0, a share or a decay, means nothing below it.
    low = range_.low - further
    return (max(0.0, low) if range_.low >= 0 else low), range_.high


def _is_low(range_: FloatRange, value: float) -> bool:
    """Tell whether a value at an edge is at the lower one, on the range's own scale."""
    if range_.log:
        return value * value <= range_.low * range_.high
    if range_.one_minus:
        return (1 - value) ** 2 >= (1 - range_.low) * (1 - range_.high)
    return value - range_.low <= range_.high - value


def _short(value: float) -> float:
    """Write a computed end with no more digits than a person would."""
    return float(f"{value:.6g}")


def with_ranges(said: SpaceSpec, space: Space, widened: Mapping[str, Any]) -> SpaceSpec:
    """Return a study's space with the wider ranges laid over what it says; `space` is what that resolves to.

    Ranges of what the space does not hold are passed over.
    """
    parts: dict[str, Any] = {}
    for name, written in widened.items():
        owner, _, parameter = name.partition(".")
        range_ = _RANGE.validate_python(written)
        if owner in space.optimizers:
            _lay(parts, "optimizers", _by_name(said.optimizers, space.optimizers), owner, parameter, range_)
        elif owner in space.schedules:
            _lay(parts, "schedules", _by_name(said.schedules, space.schedules), owner, parameter, range_)
        elif owner in ("warmup", "restarts"):
            given = getattr(said, owner)
            laid = parts.setdefault(owner, dict(given) if isinstance(given, dict) else {})
            laid[parameter] = range_
    return said.model_copy(update=parts)


def _lay(
    parts: dict[str, Any], part: str, names: dict[str, Ranges], owner: str, parameter: str, range_: AnyRange
) -> None:
    laid = parts.setdefault(part, names)
    laid[owner] = {**laid[owner], parameter: range_}


def _by_name(said: Sequence[str] | Mapping[str, Ranges] | None, resolved: Mapping[str, Ranges]) -> dict[str, Ranges]:
    """Return names with the ranges that a spec gives them, in the order of the resolved space."""
    given = said if isinstance(said, Mapping) else {}
    return {name: dict(given.get(name, {})) for name in resolved}


def edges(space: Space, params: Mapping[str, Scalar], at_edge: Sequence[str]) -> dict[str, tuple[AnyRange, AnyRange]]:
    """Return, by parameter, the range at whose edge it sat and a wider one; what cannot be wider is left out."""
    ranges = space.ranges()
    found = {}
    for name in at_edge:
        if name in ranges and name in params:
            further = wider(ranges[name], params[name])
            if further is not None:
                found[name] = (ranges[name], further)
    return found
