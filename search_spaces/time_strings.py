"""Lengths as a person writes them, turned into fractions: "30ep" epochs, "1500ba" updates, "0.3dur" of the training."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from .problems import InvalidSpec
from .schedules import FAMILIES
from .steps import whole_steps

Document = dict[str, Any]

WRITTEN = re.compile(r"(\d{1,12}(?:\.\d{1,12})?)\s?(ep|ba|dur)", re.ASCII)


class Training(NamedTuple):
    """How long a training is: T in updates, and the updates of an epoch where they are known."""

    horizon: int
    steps_per_epoch: int | None


def has_time_strings(schedule: Any) -> bool:
    """Tell whether a schedule's JSON has a length that is written as text."""
    if not isinstance(schedule, dict):
        return False
    warmup = schedule.get("warmup")
    rise = warmup.get("fraction") if isinstance(warmup, dict) else None
    written = [schedule.get(name) for name in _lengths(schedule)]
    members = [member for value in written for member in (value if isinstance(value, list) else [value])]
    return any(isinstance(value, str) for value in [rise, *members])


def with_fractions(
    schedule: Mapping[str, Any], horizon_steps: int, steps_per_epoch: int | None = None, *, field: str = "schedule"
) -> Document:
    """Return a schedule's JSON with every time string turned into a fraction; all else is left to the model.

    A warm-up's length is a share of the training; every other is one of the steps that the warm-up leaves, and a
    place is counted from the end of the warm-up.

    >>> with_fractions({"kind": "step", "step_size": "30ep"}, horizon_steps=1000, steps_per_epoch=10)
    {'kind': 'step', 'step_size': 0.3}

    Raises:
        InvalidSpec: a text is no time string, longer than what it is a part of, in epochs where their length is not
            known, or within restarts, whose cycles differ. `field` is put in front of the field's name.
    """
    training, document = Training(horizon_steps, steps_per_epoch), dict(schedule)
    body = horizon_steps
    warmup = document.get("warmup")
    if isinstance(warmup, dict) and "fraction" in warmup:
        share = _share(warmup["fraction"], training, horizon_steps, f"{field}.warmup.fraction")
        document["warmup"] = {**warmup, "fraction": share}
        body -= _warmup_steps(share, horizon_steps) if document.get("kind") != "plateau" else 0
    for name in _lengths(document):
        if name in document:
            _refuse_in_restarts(document, name, field)
            document[name] = _shares(document[name], training, body, f"{field}.{name}")
    return document


def _lengths(schedule: Document) -> tuple[str, ...]:
    """Return the fields of the schedule's family that are lengths; none for what is no family."""
    family = FAMILIES.get(str(schedule.get("kind")))
    return family.lengths if family is not None else ()


def _refuse_in_restarts(document: Document, name: str, field: str) -> None:
    value = document[name]
    is_written = any(isinstance(member, str) for member in (value if isinstance(value, list) else [value]))
    if is_written and document.get("restarts") is not None:
        raise InvalidSpec("with restarts a length is a share of each cycle: write a fraction", field=f"{field}.{name}")


def _warmup_steps(share: Any, horizon: int) -> int:
    is_share = isinstance(share, int | float) and 0 < share < 1
    return whole_steps(share, horizon) if is_share else 0


def _shares(value: Any, training: Training, body: int, field: str) -> Any:
    if isinstance(value, list):
        return [_share(member, training, body, f"{field}.{place}") for place, member in enumerate(value)]
    return _share(value, training, body, field)


def _share(value: Any, training: Training, whole: int, field: str) -> Any:
    if not isinstance(value, str):
        return value
    found = WRITTEN.fullmatch(value)
    if found is None:
        raise InvalidSpec("a fraction is meant, or a time string such as 30ep, 1500ba or 0.3dur", field=field)
    amount, unit = float(found[1]), found[2]
    if unit == "ep" and training.steps_per_epoch is None:
        raise InvalidSpec("the length of an epoch is not known here: write ba, dur or a fraction", field=field)
    updates = {"ep": training.steps_per_epoch or 1, "ba": 1, "dur": training.horizon}[unit]
    if amount * updates > whole:
        detail = f"{value} is {amount * updates:g} updates, more than the {whole} that it is a part of"
        raise InvalidSpec(detail, field=field)
    return amount if updates == whole else amount * updates / whole
