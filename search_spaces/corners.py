"""The corners of a set of ranges: a spec is sound over all of them before anything is drawn between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pydantic import ValidationError

from .model import problem_from_validation
from .problems import InvalidSpec
from .ranges import AnyRange, Scalar

Params = dict[str, Scalar]
IsActive = Callable[[str, Mapping[str, Scalar]], bool]
Build = Callable[[Mapping[str, Scalar]], object]

MOST_CORNERS = 1024


def every_name(_name: str, _drawn: Mapping[str, Scalar]) -> bool:
    """Tell that a parameter is active whatever the others are."""
    return True


def corners(ranges: Mapping[str, AnyRange], is_active: IsActive = every_name) -> list[Params]:
    """Return the parameter sets at the ends of all ranges, inactive ones left out; at most 1024 of them."""
    found: list[Params] = [{}]
    for name, range_ in ranges.items():
        grown: list[Params] = []
        for drawn in found:
            ends = range_.ends if is_active(name, drawn) else []
            grown += [drawn | {name: end} for end in ends] or [drawn]
        found = grown[:MOST_CORNERS]
    return found


def check_corners(
    field: str, build: Build, ranges: Mapping[str, AnyRange], usual: Params, is_active: IsActive = every_name
) -> None:
    """Refuse ranges between which `build` would refuse a point.

    `usual` are values that are known to be sound: with them the one parameter is found that is not.

    Raises:
        InvalidSpec: its field is that parameter below `field`, or `field` where no single one is to blame.
    """
    for corner in corners(ranges, is_active):
        problem = _refusal(build, corner)
        if problem is not None:
            culprit = _culprit(build, corner, usual, problem)
            named = f"{field}.{culprit}" if culprit else field
            known = culprit == problem.field or not problem.field
            raise InvalidSpec(problem.detail if known else f"{problem.field}: {problem.detail}", field=named)


def _culprit(build: Build, corner: Params, usual: Params, problem: InvalidSpec) -> str | None:
    if _refusal(build, usual) is None:
        for name, value in corner.items():
            if _refusal(build, usual | {name: value}) is not None:
                return name
    return problem.field if problem.field in corner else None


def _refusal(build: Build, params: Params) -> InvalidSpec | None:
    try:
        build(params)
    except ValidationError as error:
        problem = problem_from_validation(error)
        return InvalidSpec(problem.detail, field=problem.field)
    except ValueError as error:
        return InvalidSpec(str(error))
    return None
