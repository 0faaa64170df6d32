"""What commonly goes wrong with a schedule, found on its curve and in the lengths that its arguments name."""

from __future__ import annotations

from itertools import groupby
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..model import Model
from .reading import Reading

Unit = Literal["step", "epoch"]
NOTHING = 1e-12
"""Factors up to this share of the peak are LR 0."""
LONG_ENOUGH = 20
"""A length that fits so many times into the updates may be a number of epochs."""


class Finding(Model):
    """One thing that looks wrong."""

    code: Literal[
        "zero_lr", "decay_ends_early", "decay_never_ends", "warmup_too_long", "cycle_cut", "epochs_or_steps", "note"
    ]
    detail: str


def lint(
    reading: Reading, factors: NDArray[np.float64] | None, unit: Unit, epochs: int | None, steps_per_epoch: int | None
) -> list[Finding]:
    """Return what looks wrong with a schedule whose step() is called once a `unit`; no factors, no zeros."""
    findings = _lengths(reading, unit)
    findings += _wrong_unit(reading, unit, epochs, steps_per_epoch)
    if factors is not None:
        epoch = 1 if unit == "epoch" else steps_per_epoch or max(2, -(-len(factors) // 100))
        findings += _zeros(factors, epoch, unit, known=unit == "epoch" or steps_per_epoch is not None)
    return findings + [Finding(code="note", detail=note) for note in reading.notes]


def _lengths(reading: Reading, unit: Unit) -> list[Finding]:
    horizon, ends_at = reading.horizon, reading.ends_at
    found = []
    if reading.warmup >= horizon:
        detail = f"the warm-up takes {reading.warmup} {unit}s, the training {horizon}: the peak is never reached"
        found.append(Finding(code="warmup_too_long", detail=detail))
    elif ends_at is not None and ends_at < horizon:
        detail = f"the decay is over after {ends_at} of {horizon} {unit}s"
        found.append(Finding(code="decay_ends_early", detail=detail))
    elif ends_at is not None and ends_at > horizon:
        detail = f"the decay takes {ends_at} {unit}s, the training ends after {horizon}"
        found.append(Finding(code="decay_never_ends", detail=detail))
    if reading.cycle is not None and (horizon - reading.warmup) % reading.cycle:
        detail = f"the training ends within a cycle: {horizon} {unit}s are no whole number of cycles"
        found.append(Finding(code="cycle_cut", detail=detail))
    return found


def _wrong_unit(reading: Reading, unit: Unit, epochs: int | None, steps_per_epoch: int | None) -> list[Finding]:
    """Find a length in epochs where step() is called once an update, and the other way round."""
    span, name = reading.span, reading.span_name
    if not span:
        return []
    detail = ""
    many = steps_per_epoch or 1
    if unit == "step" and epochs and many > 1 and span <= epochs:
        detail = f"{name} is {span} updates, of {many} in an epoch: is it a number of epochs?"
    elif unit == "step" and not epochs and span * LONG_ENOUGH <= reading.horizon and reading.ends_at is not None:
        detail = f"{name} is {span} of {reading.horizon} updates: is it a number of epochs?"
    elif (
        unit == "epoch"
        and steps_per_epoch
        and steps_per_epoch > 1
        and span >= max(steps_per_epoch, reading.horizon + 1)
    ):
        detail = f"{name} is {span} epochs, of {reading.horizon} in the training: is it a number of updates?"
    return [Finding(code="epochs_or_steps", detail=detail)] if detail else []


def _zeros(factors: NDArray[np.float64], epoch: int, unit: Unit, *, known: bool) -> list[Finding]:
    """Find stretches of an epoch or more in which nothing is learnt."""
    is_zero = (factors <= NOTHING * factors.max()).tolist()
    found, start = [], 0
    for zero, group in groupby(is_zero):
        length = len(list(group))
        if zero and length >= epoch:
            what = "an epoch or more" if known else f"{epoch} updates or more"
            detail = f"the LR is 0 for {what}: {unit}s {start} to {start + length - 1}"
            found.append(Finding(code="zero_lr", detail=detail))
        start += length
    return found
