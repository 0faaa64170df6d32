"""Points near the best ones known: how a study that starts warm uses what earlier ones have found at once.

TPE alone needs some 25 good points before it draws within a tenth of a range of them; a night has not the time for it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from search_spaces.ranges import AnyRange, Choice, FloatRange, IntRange, Scalar
from search_spaces.study import Direction
from store.proposals import Past

from .sampling import Drawing, Point
from .seeds import derived_seed

BEST = 3
"""So many points are gone near to."""
SPREAD = 0.04
"""Of a range's width on its own scale: the standard deviation of a step."""
LEAVING = 0.1
"""How often a choice is another one than the best point's."""


def near_point(drawing: Drawing, history: Sequence[Past], seq: int) -> Point | None:
    """Draw the point of place `seq` near one of the best of `history`; None where nothing in it is complete."""
    best = _best(drawing, history)
    if not best:
        return None
    dice = random.Random(derived_seed(drawing.seed, "near", seq))
    centre = dice.choice(best).params
    candidate, params = drawing.space.suggest(lambda name, allowed: stepped(allowed, centre.get(name), SPREAD, dice))
    return Point(candidate, params)


def _best(drawing: Drawing, history: Sequence[Past]) -> list[Past]:
    complete = [past for past in history if past.state == "complete" and past.params and _is_finite(past.value)]
    fitting = [past for past in _sorted(complete, drawing.direction) if drawing.space.candidate_of(past.params)]
    return fitting[:BEST]


def _is_finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _sorted(complete: Sequence[Past], direction: Direction) -> list[Past]:
    sign = 1.0 if direction == "minimize" else -1.0
    return sorted(complete, key=lambda past: sign * (past.value or 0.0))


def stepped(allowed: AnyRange, centre: Scalar, spread: float, dice: random.Random) -> Scalar:
    """Go a step from `centre` within a range; None is no centre, and anywhere will do.

    `spread` is the step's standard deviation, in widths of the range on its own scale.
    """
    if isinstance(allowed, Choice):
        leaves = centre is None or dice.random() < LEAVING
        return dice.choice(allowed.choices) if leaves else allowed.nearest(centre)
    low, high = (_place(allowed, float(end)) for end in (allowed.low, allowed.high))
    if centre is None or isinstance(centre, str):
        place = dice.uniform(low, high)
    else:
        place = dice.gauss(_place(allowed, float(centre)), spread * abs(high - low))
    value = _value(allowed, min(max(place, min(low, high)), max(low, high)))
    if isinstance(allowed, IntRange):
        return min(max(round(value), allowed.low), allowed.high)
    return min(max(value, allowed.low), allowed.high)


def _place(allowed: FloatRange | IntRange, value: float) -> float:
    if isinstance(allowed, IntRange):
        return value
    return math.log(value) if allowed.log else math.log1p(-value) if allowed.one_minus else value


def _value(allowed: FloatRange | IntRange, place: float) -> float:
    if isinstance(allowed, IntRange):
        return place
    return math.exp(place) if allowed.log else -math.expm1(place) if allowed.one_minus else place
