"""The scheduler's arguments of timm's train.py, as JSON or as flags; timm sets the LR once an epoch."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Mapping
from typing import Any

from ..problems import InvalidSpec, Unsupported
from .reading import Document, Reading, Setting, cosine, formula, milestones, number, numbers, stairs, warmed, whole

Values = dict[str, Any]
Law = Callable[[str, Values, float], str]
Body = Callable[[Values, int, float], Document]

DEFAULTS: Mapping[str, Any] = {
    "sched": "cosine", "lr": None, "epochs": 300, "min_lr": 0.0, "warmup_lr": 1e-5, "warmup_epochs": 5,
    "warmup_prefix": False, "decay_epochs": None, "decay_milestones": [90, 180, 270], "decay_rate": 0.1,
    "lr_decay_fn": "1-sqrt",
}  # fmt: skip
NEUTRAL: Mapping[str, Any] = {
    "sched_on_updates": False, "cooldown_epochs": 0, "lr_noise": None, "lr_cycle_mul": 1, "lr_cycle_limit": 1,
    "lr_k_decay": 1,
}  # fmt: skip
"""Arguments that are read at these values only."""
SIGNS = frozenset({"sched", "warmup_epochs", "warmup_lr", "decay_epochs", "decay_milestones", "sched_on_updates"})
DECAY_EPOCHS = {"step": 90, "wsd": 0.2}
SHAPES = {"linear": "linear", "cosine": "cosine", "1-sqrt": "sqrt", "power": "sqrt"}
LOW, HIGH = -7.0, 3.0
"""Where timm's tanh begins and ends."""


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
    for name, neutral in NEUTRAL.items():
        if values.get(name, neutral) != neutral:
            raise Unsupported(f"only {neutral} is read, the LR of one cycle set once an epoch", field=name)
    if kind not in LAWS:
        raise Unsupported(f"{kind} is not read; there are {', '.join(LAWS)}", field="sched")
    if values["decay_epochs"] is None:
        values["decay_epochs"] = DECAY_EPOCHS.get(kind, 90)
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
    kind, is_after = values["sched"], bool(values["warmup_prefix"]) or values["sched"] == "wsd"
    law, body = LAWS[kind]
    if kind == "wsd" and warmup >= total:
        raise InvalidSpec(f"timm leaves no epoch to the schedule behind {warmup} of warm-up", field="warmup_epochs")
    if warmup == 0 or (kind != "tanh" and (is_after or warmup >= total)):
        return warmed(lambda steps: body(values, steps, end), total, warmup, start)
    top = 1.0
    if kind == "tanh" and not is_after:  # its warm-up rises to where the decay goes on
        top = _tanh_at(warmup / total, end) if warmup < total else end
    t = f"(t - {warmup})" if is_after else "t"
    return formula(f"where(t < {warmup}, {start!r} + {top - start!r} * t / {warmup}, {law(t, values, end)})")


def _tanh_at(u: float, end: float) -> float:
    return end + (1 - end) * (1 - math.tanh(LOW * (1 - u) + HIGH * u)) / 2


def _cosine_law(t: str, values: Values, end: float) -> str:
    return f"{end!r} + {1 - end!r} * (1 + cos(pi * {t} / {int(values['epochs'])})) / 2"


def _tanh_law(t: str, values: Values, end: float) -> str:
    return f"{end!r} + {1 - end!r} * (1 - tanh({LOW} + {HIGH - LOW} * {t} / {int(values['epochs'])})) / 2"


def _poly_law(t: str, values: Values, end: float) -> str:
    power = number(values, "decay_rate", above=0)
    return f"{end!r} + {1 - end!r} * (1 - {t} / {int(values['epochs'])}) ** {float(power)!r}"


def _step_law(t: str, values: Values, _end: float) -> str:
    every = number(values, "decay_epochs", above=0)
    return f"{float(number(values, 'decay_rate', above=0))!r} ** ({t} // {float(every)!r})"


def _multistep_law(t: str, values: Values, _end: float) -> str:
    drops = " + ".join(f"({t} + 1 >= {int(place)})" for place in numbers(values, "decay_milestones"))
    return f"{float(number(values, 'decay_rate', above=0))!r} ** ({drops})"


def _tanh(values: Values, _epochs: int, end: float) -> Document:
    return formula(_tanh_law("t", values, end)) if end else {"kind": "tanh", "low": LOW, "high": HIGH}


def _poly(values: Values, _epochs: int, end: float) -> Document:
    return {"kind": "polynomial", "power": float(number(values, "decay_rate", above=0)), "end_factor": end}


def _step(values: Values, epochs: int, end: float) -> Document:
    every = number(values, "decay_epochs", above=0)
    if every != int(every):
        return formula(_step_law("t", values, end))
    return stairs(epochs, every, number(values, "decay_rate", above=0))


def _multistep(values: Values, epochs: int, _end: float) -> Document:
    # A milestone m of timm's holds from epoch m - 1 on.
    places = [int(place) - 1 for place in numbers(values, "decay_milestones")]
    return milestones(epochs, places, number(values, "decay_rate", above=0))


def _wsd(values: Values, epochs: int, end: float) -> Document:
    if values["lr_decay_fn"] not in SHAPES:
        raise Unsupported(f"one of {', '.join(SHAPES)} is read", field="lr_decay_fn")
    written = number(values, "decay_epochs", above=0)
    decay = round(written * epochs if written < 1 else written)
    if not 0 < decay <= epochs:
        raise InvalidSpec(f"{decay} epochs of decay in {epochs} after the warm-up", field="decay_epochs")
    return {
        "kind": "wsd", "decay_fraction": decay / epochs, "shape": SHAPES[values["lr_decay_fn"]], "end_factor": end,
    }  # fmt: skip


LAWS: dict[str, tuple[Law, Body]] = {
    "cosine": (_cosine_law, lambda _values, epochs, end: cosine(epochs, epochs, end)),
    "tanh": (_tanh_law, _tanh),
    "poly": (_poly_law, _poly),
    "step": (_step_law, _step),
    "multistep": (_multistep_law, _multistep),
    "constant": (lambda *_: "1", lambda *_: {"kind": "constant"}),
    "wsd": (lambda *_: "1", _wsd),
}
"""By `--sched`: the decay as a formula over the epoch, and as a document where it starts after the warm-up."""
