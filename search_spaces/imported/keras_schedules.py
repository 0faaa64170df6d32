"""Constructors of keras.optimizers.schedules, each read as the curve that Keras plays."""

from __future__ import annotations

from typing import Any

from ..problems import InvalidSpec
from .reading import (
    Document,
    Known,
    Read,
    Reading,
    Setting,
    cosine_cycles,
    formula,
    held_cosine,
    number,
    numbers,
    polynomial,
    stairs,
    warmed,
    whole,
)

Values = dict[str, Any]


def _cosine(values: Values, setting: Setting) -> Reading:
    first, n = number(values, "initial_learning_rate"), whole(values, "decay_steps")
    target = values["warmup_target"]
    w = 0 if target is None else whole(values, "warmup_steps", least=0)
    lr = first if target is None else number(values, "warmup_target", above=0)
    horizon, alpha = setting.horizon_or(n + w), number(values, "alpha")
    document = warmed(lambda steps: held_cosine(steps, n, alpha), horizon, w, first / lr)
    return Reading("CosineDecay", document, horizon, lr, w, ends_at=n + w, span=n, span_name="decay_steps")


def _exponential(values: Values, setting: Setting) -> Reading:
    n, ratio = whole(values, "decay_steps"), number(values, "decay_rate", above=0)
    horizon = setting.horizon_or(n)
    final = ratio ** (horizon / n)
    document: Document = {"kind": "exponential", "final_factor": final}
    if values["staircase"]:
        document = stairs(horizon, n, ratio)
    elif not 0 < final <= 1:
        document = formula(f"{ratio!r} ** (t / {n})")
    return _decay("ExponentialDecay", document, horizon, values, ends_at=None)


def _polynomial(values: Values, setting: Setting) -> Reading:
    n, lr = whole(values, "decay_steps"), number(values, "initial_learning_rate", above=0)
    horizon = setting.horizon_or(n)
    end = number(values, "end_learning_rate") / lr
    document = polynomial(horizon, n, number(values, "power", above=0), end, cycle=bool(values["cycle"]))
    return _decay("PolynomialDecay", document, horizon, values, ends_at=None if values["cycle"] else n)


def _inverse_time(values: Values, setting: Setting) -> Reading:
    n, rate = whole(values, "decay_steps"), number(values, "decay_rate")
    horizon = setting.horizon_or(n)
    document: Document = {"kind": "inverse_time", "decay": rate * horizon / n}
    if values["staircase"]:
        document = formula(f"1 / (1 + {rate!r} * floor(t / {n}))")
    return _decay("InverseTimeDecay", document, horizon, values, ends_at=None)


def _decay(name: str, document: Document, horizon: int, values: Values, *, ends_at: int | None) -> Reading:
    lr, n = number(values, "initial_learning_rate", above=0), whole(values, "decay_steps")
    return Reading(name, document, horizon, lr, ends_at=ends_at, span=n, span_name="decay_steps")


def _piecewise(values: Values, setting: Setting) -> Reading:
    places, rates = numbers(values, "boundaries"), numbers(values, "values")
    if len(rates) != len(places) + 1:
        raise InvalidSpec(f"{len(places)} boundaries need {len(places) + 1} values", field="values")
    horizon, lr = setting.horizon_or(None), max(rates)
    # At a boundary itself Keras still has the old value.
    inside = [place + 1 for place in places if place + 1 < horizon]
    kept = [rate / lr for rate in rates[: len(inside) + 1]]
    document: Document = {"kind": "piecewise", "boundaries": [place / horizon for place in inside], "values": kept}
    last = int(max(places, default=0))
    late = last if len(inside) < len(places) else None
    return Reading(
        "PiecewiseConstantDecay", document if inside else formula(repr(kept[0])), horizon, lr,
        ends_at=late, span=last, span_name="the last boundary",
    )  # fmt: skip


def _restarts(values: Values, setting: Setting) -> Reading:
    first, multiplier = whole(values, "first_decay_steps"), whole(values, "t_mul")
    if values["m_mul"] != 1:
        raise InvalidSpec("peaks that change are not read: m_mul 1 is meant", field="m_mul")
    horizon, lr = setting.horizon_or(first), number(values, "initial_learning_rate", above=0)
    document, full = cosine_cycles(horizon, first, multiplier, number(values, "alpha"))
    return Reading("CosineDecayRestarts", document, horizon, lr, cycle=full, span=first, span_name="first_decay_steps")


def _known(name: str, read: Read, **parameters: Any) -> tuple[str, Known]:
    return name, Known(f"keras.optimizers.schedules.{name}", {**parameters, "name": None}, read)


KERAS: dict[str, Known] = dict([
    _known("CosineDecay", _cosine, initial_learning_rate=..., decay_steps=..., alpha=0.0, warmup_target=None,
           warmup_steps=0),
    _known("ExponentialDecay", _exponential, initial_learning_rate=..., decay_steps=..., decay_rate=...,
           staircase=False),
    _known("PolynomialDecay", _polynomial, initial_learning_rate=..., decay_steps=..., end_learning_rate=1e-4,
           power=1.0, cycle=False),
    _known("InverseTimeDecay", _inverse_time, initial_learning_rate=..., decay_steps=..., decay_rate=...,
           staircase=False),
    _known("PiecewiseConstantDecay", _piecewise, boundaries=..., values=...),
    _known("CosineDecayRestarts", _restarts, initial_learning_rate=..., first_decay_steps=..., t_mul=2.0, m_mul=1.0,
           alpha=0.0),
])  # fmt: skip
"""By the name of the class."""
