"""From a row of somebody's table to a past trial: which column means what, and what a candidate needs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from search_spaces.candidate import Candidate
from search_spaces.history import PastTrial
from search_spaces.model import problem_from_validation
from search_spaces.optimizers import OPTIMIZERS
from search_spaces.points import NONE_OF_IT
from search_spaces.problems import InvalidSpec
from search_spaces.schedules import FAMILIES
from search_spaces.searched import Searched

PLAIN = ("candidate", "optimizer", "schedule", "initial_lr", "value", "horizon_steps", "state")
PARTS = ("warmup", "restarts", "lr_ratios")
FULL = frozenset({"complete", "completed", "finished"})
"""States, in anybody's words, of a training that has run to its end."""
KNOWN: Mapping[str, Mapping[str, type[Searched]]] = {"optimizer": OPTIMIZERS, "schedule": FAMILIES}


class UnreadablePast(ValueError):
    """What was already run cannot be read as it was asked for; the text says what would do."""


class UnmappedRow(ValueError):
    """A row is no past trial; the text says why."""


@dataclass(frozen=True)
class PastRow:
    """One row: where it stands, its values by column, and why it cannot be used, where that is known."""

    source: str
    values: Mapping[str, Any]
    problem: str | None = None


@dataclass(frozen=True)
class Places:
    """What the columns of a table mean."""

    columns: Mapping[str, str] = field(default_factory=dict)
    """{column: place}; a column that has the name of a place needs no entry."""
    fixed: Mapping[str, Any] = field(default_factory=dict)
    """{place: value} for what no column says."""
    names: Mapping[str, str] = field(default_factory=dict)
    """{theirs: ours} for names of optimizers and schedules."""

    def __post_init__(self) -> None:
        for place in [*self.columns.values(), *self.fixed]:
            _check_place(place)

    def check_columns(self, columns: Sequence[str]) -> None:
        """Refuse a mapping of columns that are not there.

        Raises:
            UnreadablePast: the text lists those that are.
        """
        missing = [column for column in self.columns if column not in columns]
        if missing:
            raise UnreadablePast(f"there is no {', '.join(missing)}; there are {', '.join(columns) or 'none'}")

    def read(self, row: PastRow) -> PastTrial:
        """Return the past trial of a row.

        Raises:
            UnmappedRow: it is none; the text says why.
        """
        if row.problem is not None:
            raise UnmappedRow(row.problem)
        values = dict(self.fixed)
        for column, value in row.values.items():
            place = self.columns.get(column, column)
            if is_place(place) and value is not None:
                values[place] = value
        _check_state(values)
        return _past_trial(row.source, values, self.names)


def _check_state(values: Mapping[str, Any]) -> None:
    """Refuse what was not trained to its end; a training that diverged says all that it can."""
    state, value = str(values.get("state", "complete")), values.get("value")
    if state.lower() not in FULL and str(value) != "nan":
        raise UnmappedRow(f"its state is {state}, so its value at the end is not known")


def is_place(name: str) -> bool:
    """Tell whether a value of a past trial has this name: initial_lr, adamw.lr, cosine.end_factor, value, ...

    >>> [is_place(name) for name in ("optimizer", "adamw.lr", "warmup.fraction", "adamw.speed", "batch")]
    [True, True, True, False, False]
    """
    kind, dot, parameter = name.partition(".")
    if not dot:
        return name in PLAIN
    if kind in OPTIMIZERS:
        return parameter == "lr" or OPTIMIZERS[kind].knows(parameter)
    return FAMILIES[kind].knows(parameter) if kind in FAMILIES else kind in PARTS


def _check_place(name: str) -> None:
    if is_place(name):
        return
    kind, dot, parameter = name.partition(".")
    known = OPTIMIZERS.get(kind) or FAMILIES.get(kind)
    if dot and known is not None:
        listed = ", ".join([*(["lr"] if kind in OPTIMIZERS else []), *known.parameters()])
        raise UnreadablePast(f"{kind} has no {parameter!r}: {listed}")
    raise UnreadablePast(
        f"there is no {name!r}: {', '.join(PLAIN)}, or a parameter such as adamw.lr, cosine.end_factor, warmup.fraction"
    )


def _past_trial(source: str, values: dict[str, Any], names: Mapping[str, str]) -> PastTrial:
    try:
        return PastTrial(
            candidate=_candidate(values, names),
            value=_number("value", values.get("value")),
            horizon_steps=_whole("horizon_steps", values.get("horizon_steps")),
            source=source[-200:],
        )
    except ValidationError as error:
        raise UnmappedRow(str(problem_from_validation(error))) from None
    except InvalidSpec as problem:
        raise UnmappedRow(str(problem)) from None


def _candidate(values: Mapping[str, Any], names: Mapping[str, str]) -> Candidate:
    if "candidate" in values:
        return Candidate.model_validate(_document(values["candidate"]))
    optimizer, schedule = _kind("optimizer", values, names), _kind("schedule", values, names)
    own = _under(optimizer, values)
    lr = _initial_lr(optimizer, own.pop("lr", None), values.get("initial_lr"))
    modifiers = {part: _under(part, values) for part in ("warmup", "restarts")}
    there = {
        part: said for part, said in modifiers.items() if said and next(iter(said.values())) not in NONE_OF_IT[part]
    }
    return Candidate.model_validate({
        "optimizer": _spec("optimizer", optimizer, own).model_dump(),
        "initial_lr": lr,
        "schedule": _spec("schedule", schedule, _under(schedule, values)).model_dump(exclude_none=True) | there,
        "lr_ratios": _under("lr_ratios", values),
    })  # fmt: skip


def _document(value: Any) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        raise UnmappedRow(f"candidate: {value!r} is no JSON") from None


def _kind(part: str, values: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """Return the optimizer or the schedule of a row: the one that it names, else the only one it has values for."""
    known = KNOWN[part]
    if part in values:
        said = str(values[part])
        kind = names.get(said, said.lower())
        if kind not in known:
            raise UnmappedRow(f"{part}: {said!r} is none of {', '.join(known)} (--rename {said}=... says which it is)")
        return kind
    named = sorted({name.partition(".")[0] for name in values} & set(known))
    if len(named) == 1:
        return named[0]
    if named:
        raise UnmappedRow(f"{part}: there are values for {' and '.join(named)}, and nothing says which it was")
    raise UnmappedRow(f"{part}: nothing says which it was (--set {part}=... says it for all rows)")


def _spec(part: str, kind: str, own: Mapping[str, Any]) -> Searched:
    try:
        return KNOWN[part][kind].from_params(own)
    except ValidationError as error:
        raise UnmappedRow(str(problem_from_validation(error, f"{part}.{kind}"))) from None
    except KeyError as missing:
        raise UnmappedRow(f"{part}.{kind}.{missing.args[0]}: this is required") from None


def _initial_lr(optimizer: str, own: Any, plain: Any) -> Any:
    if own is None and plain is None:
        raise UnmappedRow(f"initial_lr: nothing says it; map a column to initial_lr or to {optimizer}.lr")
    if own is not None and plain is not None and own != plain:
        raise UnmappedRow(f"initial_lr: it is {plain}, and {optimizer}.lr is {own}")
    name, value = ("initial_lr", plain) if own is None else (f"{optimizer}.lr", own)
    return _number(name, value)


def _under(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    start = f"{prefix}."
    return {name.removeprefix(start): value for name, value in values.items() if name.startswith(start)}


def _number(name: str, value: Any) -> float | None:
    if value is None:
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        raise UnmappedRow(f"{name}: {value!r} is no number") from None


def _whole(name: str, value: Any) -> int | None:
    number = _number(name, value)
    if number is None:
        return None
    if not number.is_integer():
        raise UnmappedRow(f"{name}: {value!r} is no whole number of steps")
    return int(number)
