"""The base of every schedule family: what a family file fills in, and the modifiers around it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ..modifiers import Restarts, Warmup
from ..searched import Searched, refuse

Floats = NDArray[np.float64]
Steps = NDArray[np.int64]

Factor = Annotated[float, Field(ge=0, allow_inf_nan=False)]
"""A multiple of the initial LR."""
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
"""A multiple of the initial LR that the peak is not to exceed."""
Gamma = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
"""What a drop leaves of the LR."""

LEAST_LOGARITHM = -746.0
"""exp of this is 0 in float64."""

NOTHING: Mapping[str, str] = MappingProxyType({})
OWN_RISE: Mapping[str, str] = MappingProxyType({"warmup": "it carries a warm-up of its own"})


class Shortfall(NamedTuple):
    """Why a horizon has too few steps: the field that asks for more, and what it asks."""

    field: str
    detail: str


class Schedule(Searched):
    """A pure function from step to learning-rate factor; a family fills in `body`, `phrase` and its fields."""

    warmup: Warmup | None = None
    restarts: Restarts | None = None
    reverse: bool = False
    """Whether the body is played backwards: f(T - 1 - t)."""

    law: ClassVar[str]
    """f(t) in one line, for the catalogue."""
    source: ClassVar[str]
    """Where the family comes from."""
    also: ClassVar[tuple[str, ...]] = ()
    """Its names elsewhere."""
    lengths: ClassVar[tuple[str, ...]] = ()
    """Its fields that are a length or a list of places, as fractions; a person may write them as time strings."""
    along_the_curve: ClassVar[bool] = False
    """Whether a spec can be wrong in a way that shows at some step only, where `body` raises InvalidSpec."""
    refuses: ClassVar[Mapping[str, str]] = NOTHING
    """Modifiers that make no sense here, with the reason."""
    left_out: ClassVar[frozenset[str]] = frozenset()
    """Modifiers that are allowed but not searched, because the body does the like by itself or is not changed."""
    unsearched: ClassVar[frozenset[str]] = frozenset({"kind", "warmup", "restarts", "reverse"})

    @model_validator(mode="after")
    def _modifiers_make_sense(self) -> Schedule:
        for name, reason in self.refuses.items():
            if getattr(self, name):
                kind = type(self).model_fields["kind"].default
                raise refuse(name, f"{kind} takes no {name}: {reason}")
        return self

    def body(self, t: Steps, horizon: int) -> Floats:
        """Return the factors at steps `t` (each in [0, horizon)) without any modifier, as a new array."""
        raise NotImplementedError

    def shortfall(self, horizon: int) -> Shortfall | None:
        """Say what of the body does not fit into `horizon` steps; None if all does."""
        _ = horizon
        return None

    def rise(self, horizon: int) -> int:
        """Return the steps for which the body itself climbs to its peak, as a warm-up does."""
        _ = horizon
        return 0

    def phrase(self) -> str:
        """Say the body in the words that a person reads, without its modifiers."""
        raise NotImplementedError


def percent(share: float) -> str:
    """Write a fraction as a person reads it: 0.05 as 5 %."""
    return f"{100 * share:.3g} %"


def powers(gamma: float, exponents: Steps) -> Floats:
    """Return gamma^k for whole numbers k >= 0 and gamma in (0, 1]."""
    if gamma == 1:
        return np.ones(exponents.shape, dtype=np.float64)
    # Powers that underflow to 0 are ten times slower than others: look none of them up twice.
    vanished = math.ceil(LEAST_LOGARITHM / math.log(gamma))
    most = min(int(exponents.max(initial=0)), vanished)
    levels = np.float64(gamma) ** np.arange(most + 1)
    return np.asarray(levels[np.minimum(exponents, most)])
