"""The scheduler's arguments of timm's train.py, as JSON or as flags; timm sets the LR once an epoch."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from typing import Any

from ..problems import InvalidSpec, Unsupported
from .reading import Document, Reading, Setting, cosine, formula, milestones, number, numbers, stairs, warmed, whole

Values = dict[str, Any]
Law = Callable[[Values, int, float], str]

DEFAULTS: Mapping[str, Any] = {
    "sched": "cosine", "lr": None, "epochs": 300, "min_lr": 0.0, "warmup_lr": 1e-5, "warmup_epochs": 5,
    "warmup_prefix": False, "decay_epochs": 90, "decay_milestones": [90, 180, 270], "decay_rate": 0.1,
    "sched_on_updates": False,
}  # fmt: skip
SIGNS = frozenset({"sched", "warmup_epochs", "warmup_lr", "decay_epochs", "decay_milestones", "sched_on_updates"})


def read_flags(text: str) -> dict[str, Any]:
    """Turn `--sched cosine --lr 0.1` into arguments by name.

    Raises:
        InvalidSpec: a word stands outside of any flag.
    """
    found: dict[str, list[Any]] = {}
    for word in _words(text):
        if word.startswith("--"):
            name, _, value = word[2:].partition("=")
            flag = found.setdefault(name.replace("-", "_"), [])
            flag += [_value(value)] if value else []
        elif not found:
            raise InvalidSpec(f"{word!r} belongs to no flag")
        else:
            flag.append(_value(word))
    lists = {"decay_milestones"}
    return {name: words if name in lists else (words[0] if words else True) for name, words in found.items()}


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise InvalidSpec(f"the flags cannot be read: {error}") from None


def _value(word: str) -> float | str:
    try:
        return float(word)
    except ValueError:
        return word


def read_timm(given: Mapping[str, Any], setting: Setting) -> Reading:
    """Read the arguments; lengths are epochs.

    Raises:
        InvalidSpec: an argument is wrong.
        Unsupported: the scheduler is none of timm's that are read.
    """
    values = {**DEFAULTS, **{name: value for name, value in given.items() if value is not None}}
    kind, epochs, warmup = values["sched"], whole(values, "epochs"), whole(values, "warmup_epochs", least=0)
    lr = setting.lr if values["lr"] is None else number(values, "lr", above=0)
    if values["sched_on_updates"]:
        raise Unsupported("only timm's LR once an epoch is read", field="sched_on_updates")
    if kind not in LAWS:
        raise Unsupported(f"{kind} is not read; there are {', '.join(LAWS)}", field="sched")
    named = Setting(epochs, lr)
    end = named.share(number(values, "min_lr"), "min_lr")
    start = named.share(number(values, "warmup_lr"), "warmup_lr") if warmup else 0.0
    # Without the prefix timm's decay is under way already when the warm-up ends.
    total = epochs + warmup if values["warmup_prefix"] else epochs
    notes = ("timm sets the LR once an epoch; this spec goes on at every update",)
    return Reading(
        f"timm {kind}", _document(values, total, warmup, (start, end)), total, lr, warmup, ends_at=None, notes=notes
    )


def _document(values: Values, total: int, warmup: int, rates: tuple[float, float]) -> Document:
    start, end = rates
    law, body = LAWS[values["sched"]]
    if warmup == 0 or values["warmup_prefix"] or warmup >= total:
        return warmed(lambda _: body(values, int(values["epochs"]), end), total, warmup, start)
    rise = f"{start!r} + {1 - start!r} * t / {warmup}"
    return formula(f"where(t < {warmup}, {rise}, {law(values, total, end)})")


def _cosine_law(_values: Values, epochs: int, end: float) -> str:
    return f"{end!r} + {1 - end!r} * (1 + cos(pi * t / {epochs})) / 2"


def _tanh_law(_values: Values, epochs: int, end: float) -> str:
    return f"{end!r} + {1 - end!r} * (1 - tanh(-7 + 10 * t / {epochs})) / 2"


def _poly_law(values: Values, epochs: int, end: float) -> str:
    return f"{end!r} + {1 - end!r} * (1 - t / {epochs}) ** {float(values.get('decay_rate', 1.0))!r}"


def _step_law(values: Values, _epochs: int, _end: float) -> str:
    return f"{float(values['decay_rate'])!r} ** floor(t / {float(values['decay_epochs'])!r})"


def _multistep_law(values: Values, _epochs: int, _end: float) -> str:
    drops = " + ".join(f"(t + 1 >= {int(place)})" for place in numbers(values, "decay_milestones"))
    return f"{float(values['decay_rate'])!r} ** ({drops})"


def _tanh(_values: Values, epochs: int, end: float) -> Document:
    return formula(_tanh_law(_values, epochs, end)) if end else {"kind": "tanh", "low": -7.0, "high": 3.0}


def _poly(values: Values, _epochs: int, end: float) -> Document:
    return {"kind": "polynomial", "power": float(values.get("decay_rate", 1.0)), "end_factor": end}


LAWS: dict[str, tuple[Law, Callable[[Values, int, float], Document]]] = {
    "cosine": (_cosine_law, lambda _values, epochs, end: cosine(epochs, epochs, end)),
    "tanh": (_tanh_law, _tanh),
    "poly": (_poly_law, _poly),
    "step": (
        _step_law,
        lambda values, epochs, _end: stairs(epochs, number(values, "decay_epochs"), number(values, "decay_rate")),
    ),
    "multistep": (
        _multistep_law,
        lambda values, epochs, _end: milestones(
            epochs, [int(place) - 1 for place in numbers(values, "decay_milestones")], number(values, "decay_rate")
        ),
    ),
}
"""By `--sched`: the decay as a formula over the epoch t, and as a document where it starts after the warm-up."""
