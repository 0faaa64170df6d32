"""What optimizers and schedules have in common: a `kind`, and parameters that a space can search by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Self

from .model import Model, ProblemValue
from .problems import InvalidSpec
from .ranges import AnyRange, Scalar

NO_RANGES: Mapping[str, AnyRange] = MappingProxyType({})


def refuse(field: str, detail: str) -> ProblemValue:
    """Return the error to raise in a validator of a whole model, so that it names its field all the same."""
    return ProblemValue(InvalidSpec(detail, field=field))


class Searched(Model):
    """A spec that is a point in the ranges of its kind."""

    kind: str

    ranges: ClassVar[Mapping[str, AnyRange]] = NO_RANGES
    """What is searched by default, in the order in which it is drawn; the rest keeps the model's default."""
    unsearched: ClassVar[frozenset[str]] = frozenset({"kind"})
    """Fields that a space cannot give a range."""

    @classmethod
    def parameters(cls) -> list[str]:
        """Names that a space may give a range, those of `ranges` first."""
        further = [name for name in cls.model_fields if name not in cls.ranges and name not in cls.unsearched]
        return [*cls.ranges, *further]

    @classmethod
    def knows(cls, name: str) -> bool:
        """Tell whether a space may give parameter `name` a range."""
        return name in cls.parameters()

    @classmethod
    def is_active(cls, name: str, drawn: Mapping[str, Scalar]) -> bool:
        """Tell whether parameter `name` means anything beside those already drawn."""
        _ = name, drawn
        return True

    @classmethod
    def from_params(cls, params: Mapping[str, Scalar]) -> Self:
        """Build the spec from searched parameters; raises pydantic's ValidationError where they do not fit."""
        return cls.model_validate({"kind": cls.model_fields["kind"].default, **params})

    def to_params(self) -> dict[str, Any]:
        """Return the value of every searchable parameter."""
        return {name: getattr(self, name) for name in self.parameters()}


def numbered(name: str, range_: AnyRange, most: int) -> dict[str, AnyRange]:
    """Return the ranges of a list's searched members: name_1 ... name_{most}."""
    return {f"{name}_{i}": range_ for i in range(1, most + 1)}


def numbers(params: Mapping[str, Scalar], name: str, count: int) -> list[float]:
    """Return the drawn members name_1 ... name_{count} of a list; ValueError where one is missing."""
    missing = [f"{name}_{i}" for i in range(1, count + 1) if f"{name}_{i}" not in params]
    if missing:
        raise ValueError(f"a count of {count} needs a {missing[0]}")
    return [number(params[f"{name}_{i}"]) for i in range(1, count + 1)]


def number(value: Scalar) -> float:
    """Return a drawn value that is a number by its range."""
    assert isinstance(value, int | float)
    return float(value)


def whole(value: Scalar) -> int:
    """Return a drawn value that is a whole number by its range."""
    return int(number(value))
