"""What was read: a spec with its horizon, and the lengths that the arguments themselves named."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ..model import problem_from_validation
from ..problems import InvalidSpec
from ..schedules import AnySchedule

Document = dict[str, Any]
LONGEST_HORIZON = 10_000_000
MOST_CYCLES = 1000
_SCHEDULES: TypeAdapter[AnySchedule] = TypeAdapter(AnySchedule)


@dataclass(frozen=True)
class Setting:
    """What the arguments of a scheduler do not say: the horizon in its own calls of step, and the initial LR."""

    horizon: int | None = None
    lr: float | None = None
    steps_per_epoch: int | None = None

    def horizon_or(self, own: int | None) -> int:
        """Return the horizon, else the scheduler's own length.

        Raises:
            InvalidSpec: there is neither (field `steps`).
        """
        horizon = self.horizon or own
        if not horizon or horizon < 1:
            raise InvalidSpec("how long is the training? Give --steps, or --epochs", field="steps")
        if horizon > LONGEST_HORIZON:
            raise InvalidSpec(f"curves of up to {LONGEST_HORIZON} steps are drawn", field="steps")
        return horizon

    def share(self, rate: float, field: str, base: float | None = None) -> float:
        """Return an LR in units of the initial one.

        Raises:
            InvalidSpec: the initial LR is not known (field `lr`).
        """
        base = base or self.lr
        if rate == 0:
            return 0.0
        if not base:
            raise InvalidSpec(f"{field} is an LR: give the initial one too, with --lr", field="lr")
        return rate / base


@dataclass(frozen=True)
class Reading:
    """A schedule as its library plays it over `horizon` calls; lengths are in calls, None where there is none."""

    origin: str
    document: Document
    horizon: int
    lr: float | None = None
    warmup: int = 0
    ends_at: int | None = None
    """Where the decay is over, by the arguments."""
    cycle: int | None = None
    span: int | None = None
    """The length that a person would have thought of as epochs or as updates."""
    span_name: str = ""
    notes: tuple[str, ...] = ()

    def schedule(self) -> AnySchedule:
        """Return the spec.

        Raises:
            InvalidSpec: a value is nothing that a spec can have.
        """
        try:
            return _SCHEDULES.validate_python(self.document)
        except ValidationError as error:
            raise problem_from_validation(error) from None


Read = Callable[[dict[str, Any], Setting], Reading]


@dataclass(frozen=True)
class Known:
    """A constructor: where it is from, its parameters with their defaults (`...` where there is none), its meaning."""

    origin: str
    parameters: Mapping[str, Any]
    read: Read


def warmed(body: Callable[[int], Document], horizon: int, warmup: int, start: float = 0.0) -> Document:
    """Put a linear warm-up, counted as the libraries do, in front of a body over the steps that it leaves."""
    if warmup <= 0:
        return body(horizon)
    if warmup >= horizon:
        return {"kind": "linear", "start_factor": start, "end_factor": start + (1 - start) * horizon / warmup}
    rise = {"fraction": warmup / horizon, "start_factor": start, "inclusive": False}
    return {**body(horizon - warmup), "warmup": rise}


def cosine(steps: int, length: float, end: float) -> Document:
    """A cosine that takes `length` steps to its end and goes on as a wave."""
    if steps > MOST_CYCLES * length:
        return formula(f"{end!r} + {1 - end!r} * (1 + cos(pi * t / {length!r})) / 2")
    return {"kind": "cosine", "end_factor": end, "cycles": 0.5 * steps / length}


def held_cosine(steps: int, length: float, end: float) -> Document:
    """A cosine that takes `length` steps to its end and stays there."""
    if length >= steps:
        return cosine(steps, length, end)
    return formula(f"{end!r} + {1 - end!r} * (1 + cos(pi * min(t / {length!r}, 1))) / 2")


def polynomial(steps: int, length: float, power: float, end: float, *, cycle: bool = False) -> Document:
    """A power of the time that is left of `length` steps."""
    if length <= steps:
        share = {"cycle": cycle, "cycle_length": length / steps}
        return {"kind": "polynomial", "power": power, "end_factor": end, **share}
    return formula(f"{1 - end!r} * (1 - t / {length!r}) ** {power!r} + {end!r}")


def exponential(steps: int, ratio: float) -> Document:
    """The same ratio from each step to the next."""
    final = ratio**steps if 0 < ratio <= 1 else 0.0
    return {"kind": "exponential", "final_factor": final} if final else formula(f"{ratio!r} ** t")


def stairs(steps: int, every: float, gamma: float) -> Document:
    """A drop by `gamma` every so many steps."""
    if every >= steps:
        return {"kind": "constant"}
    if gamma > 1 or every < 1 or every != int(every):
        return formula(f"{gamma!r} ** floor(t / {every!r})")
    return {"kind": "step", "step_size": every / steps, "gamma": gamma}


def milestones(steps: int, places: list[int], gamma: float) -> Document:
    """A drop by `gamma` at each place within the steps."""
    inside = [place for place in sorted(places) if place < steps]
    if not inside:
        return {"kind": "constant"}
    if gamma > 1 or inside[0] < 1:
        return formula(f"{gamma!r} ** ({' + '.join(f'(t >= {place})' for place in inside)})")
    return {"kind": "multistep", "milestones": [place / steps for place in inside], "gamma": gamma}


def cosine_cycles(steps: int, first: int, multiplier: int, end: float) -> tuple[Document, int]:
    """Cosine cycles, each `multiplier` times as long as the one before, and where the last one that begins ends."""
    ends = [first]
    while ends[-1] < steps:
        ends.append(ends[-1] + first * multiplier ** len(ends))
    if ends[-1] == steps and len(ends) <= 100:
        restarts = {"count": len(ends), "length_multiplier": multiplier}
        return {"kind": "cosine", "end_factor": end, "restarts": restarts}, steps
    if multiplier == 1:
        return formula(f"{end!r} + {1 - end!r} * (1 + cos(pi * (t % {first}) / {first})) / 2"), ends[-1]
    start, length = "0", str(first)
    for index, border in enumerate(ends[:-1], 1):
        start = f"where(t < {border}, {start}, {border})"
        length = f"where(t < {border}, {length}, {first * multiplier**index})"
    return formula(f"{end!r} + {1 - end!r} * (1 + cos(pi * (t - {start}) / {length})) / 2"), ends[-1]


def formula(text: str) -> Document:
    """A curve that no kind has a name for."""
    return {"kind": "expression", "formula": text}


def number(values: Mapping[str, Any], name: str, *, above: float | None = None) -> float:
    """Return an argument that has to be a number.

    Raises:
        InvalidSpec: it is none, or not above `above` (its name is the field).
    """
    value = values[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InvalidSpec(f"a number is meant, not {value!r}", field=name)
    if above is not None and value <= above:
        raise InvalidSpec(f"it has to be above {above:g}", field=name)
    return value


def whole(values: Mapping[str, Any], name: str, *, least: int = 1) -> int:
    """Return an argument that has to be a whole number of at least `least`.

    Raises:
        InvalidSpec: it is not (its name is the field).
    """
    value = number(values, name)
    if value != int(value) or value < least:
        raise InvalidSpec(f"a whole number of at least {least} is meant, not {value!r}", field=name)
    return int(value)


def numbers(values: Mapping[str, Any], name: str) -> list[float]:
    """Return an argument that has to be a list of numbers.

    Raises:
        InvalidSpec: it is none (its name is the field).
    """
    if not isinstance(values[name], list):
        raise InvalidSpec("a list of numbers is meant", field=name)
    return [number({name: value}, name) for value in values[name]]
