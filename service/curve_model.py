"""Points chosen by a model of the LR curve: of many that could be tried, the one that promises most beyond the best.

The model learns from every trial that has shown something: a complete one by its value, one that was stopped by what
those came to that stood where it did at its last rung, a diverged one as the worst. Candidates are drawn from the whole
space and near the best, and the best of the kinds of schedule that promise most are improved in small steps.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import NormalDist

import numpy as np
from threadpoolctl import threadpool_limits

from search_spaces.ranges import Scalar
from store.history import DIVERGED
from store.proposals import Past
from store.states import OPEN_TRIAL

from .features import Features, Vector
from .gaussian import Process
from .near import BEST, SPREAD, stepped
from .sampling import Drawing, Point
from .seeds import derived_seed

LEAST = 4
"""Trials with different outcomes, below which there is no model."""
BEST_SHOWN, LATEST_SHOWN = 60, 60
"""What the model is shown of a long history."""
ANYWHERE, NEARBY = 100, 100
"""Candidates drawn from the whole space, and near the best ones known."""
NEAREST = 30
"""Points looked at near the best ones, where no others are."""
CENTRES = 5
"""So many of the best are gone near to."""
SPREADS = (0.03, 0.1, 0.2)
"""Of a range's width: the standard deviations of a step from one of them."""
LEADERS = 4
"""Kinds of schedules of which the best point is improved,"""
ROUNDS, STEPS, STEP = 2, 6, 0.05
"""in so many rounds, by the best of so many steps of this size."""
EXPECTED = 64
"""Of the points in training, and chosen in this refill, so many of the latest count as what is expected of them."""
NEIGHBOURS = 3
"""Complete trials that tell what a stopped one would have come to."""

NORMAL = NormalDist()


@dataclass(frozen=True)
class _Drawn:
    """Points with their features, (n, d)."""

    points: list[Point]
    features: Vector

    def __add__(self, other: _Drawn) -> _Drawn:
        return _Drawn(self.points + other.points, np.vstack([self.features, other.features]))

    def at(self, places: Sequence[int]) -> _Drawn:
        return _Drawn([self.points[place] for place in places], self.features[list(places)])


def model_points(
    drawing: Drawing, history: Sequence[Past], places: Sequence[int], *, is_near: bool = False
) -> list[Point] | None:
    """Choose a point for each of `places`; None where too little is known.

    What is being trained, and each point chosen, counts for those after it as what the model expects of it. With
    `is_near` only points near the best ones are looked at, as `near_point` draws them, and the best is what is expected
    to be best: a night has no time to explore.
    """
    # Matrices this small gain nothing from a second thread, which waits for the first one at full speed.
    with threadpool_limits(limits=1, user_api="blas"):
        model = _Model.of(drawing, history)
        return None if model is None else _chosen(model, places, is_near=is_near)


def _chosen(model: _Model, places: Sequence[int], *, is_near: bool) -> list[Point]:
    dice = [random.Random(derived_seed(model.drawing.seed, "curves", place)) for place in places]
    if is_near:
        return [model.surest(model.near(own)) for own in dice]
    # Points drawn from the space are looked at again for each place: drawing them is what costs.
    pool = model.pool(dice[0])
    return [model.chosen(pool, own) for own in dice]


@dataclass
class _Model:
    drawing: Drawing
    features: Features
    known: Process
    """Of what trials have shown."""
    process: Process
    """The same, with what is expected of points in training."""
    pending: Vector
    """(m, d): these points, m at most `EXPECTED`."""
    best: list[Mapping[str, Scalar]]
    """Parameters, the best first."""

    @classmethod
    def of(cls, drawing: Drawing, history: Sequence[Past]) -> _Model | None:
        known = _shown(_outcomes(drawing, history))
        values = scores(np.array([value for _, value in known]))
        if len(np.unique(values)) < LEAST:
            return None
        features = Features(drawing.space, drawing.horizon_steps)
        seen = features.of([(point.candidate, point.params) for point, _ in known])
        best = [known[i][0].params for i in np.argsort(values, kind="stable")[:CENTRES]]
        process = Process.fitted(seen, values, features.groups)
        made = cls(drawing, features, process, process, seen[:0], best)
        silent = [past for past in history if past.state in OPEN_TRIAL and not _rungs(past)][-EXPECTED:]
        points = [point for past in silent if (point := _point(drawing, past)) is not None]
        if points:
            made.expect(features.of([(point.candidate, point.params) for point in points]))
        return made

    def expect(self, features: Vector) -> None:
        """Take it that points (m, d) will come to what is expected of them: no other needs to be tried beside them."""
        self.pending = np.vstack([self.pending, features])[-EXPECTED:]
        self.process = self.known.seeing(self.pending, self.known.expected(self.pending)[0])

    def pool(self, dice: random.Random) -> _Drawn:
        """Return points from the whole space, and near the best."""
        anywhere = [self._from(None, 0.0, dice) for _ in range(ANYWHERE)]
        near = [self._from(self.best[i % len(self.best)], SPREADS[i % len(SPREADS)], dice) for i in range(NEARBY)]
        return self._drawn(anywhere + near)

    def near(self, dice: random.Random) -> _Drawn:
        """Return points a small step from the very best."""
        centres = self.best[:BEST]
        return self._drawn([self._from(centres[i % len(centres)], SPREAD, dice) for i in range(NEAREST)])

    def chosen(self, drawn: _Drawn, dice: random.Random) -> Point:
        """Return the point that promises most, after some steps from the best of `drawn`."""
        for _ in range(ROUNDS):
            leaders = drawn.at(_leaders(drawn.points, self._promise(drawn)))
            drawn = leaders + self._drawn([self._from(one.params, STEP, dice) for one in leaders.points * STEPS])
        return self._taken(drawn, int(np.argmax(self._promise(drawn))))

    def surest(self, drawn: _Drawn) -> Point:
        """Return the point that is expected to be best, without a bonus for what is not known."""
        return self._taken(drawn, int(np.argmin(self.process.expected(drawn.features)[0])))

    def _taken(self, drawn: _Drawn, place: int) -> Point:
        self.expect(drawn.features[place : place + 1])
        return drawn.points[place]

    def _promise(self, drawn: _Drawn) -> Vector:
        """Return by how much each is expected to be better than the best, where it is: (n,)."""
        return _improvement(*self.process.expected(drawn.features), self.process.least)

    def _from(self, centre: Mapping[str, Scalar] | None, spread: float, dice: random.Random) -> Point:
        own = centre or {}
        return Point(*self.drawing.space.suggest(lambda name, range_: stepped(range_, own.get(name), spread, dice)))

    def _drawn(self, points: list[Point]) -> _Drawn:
        return _Drawn(points, self.features.of([(one.candidate, one.params) for one in points]))


def _improvement(means: Vector, deviations: Vector, goal: float) -> Vector:
    """Return by how much a normal variable is expected to fall below `goal`, where it does."""
    apart = (goal - means) / deviations
    density = np.exp(-(apart**2) / 2) / math.sqrt(2 * math.pi)
    improvement: Vector = deviations * (apart * np.array([NORMAL.cdf(one) for one in apart.tolist()]) + density)
    return improvement


def _leaders(points: Sequence[Point], promise: Vector) -> list[int]:
    """Return the places of the points that promise most, each the best of its kind of schedule."""
    leaders: dict[str, int] = {}
    for place in np.argsort(-promise, kind="stable").tolist():
        leaders.setdefault(points[place].candidate.schedule.kind, place)
        if len(leaders) == LEADERS:
            break
    return list(leaders.values())


def scores(values: Vector) -> Vector:
    """Return the normal scores of values: each one's rank as a quantile of the normal distribution, least first.

    Ranks say nothing of distances: a diverged trial hides no difference between good ones, and a metric may be scaled
    as one likes. Equal values have equal scores.
    """
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    middle = np.cumsum(count) - count / 2
    quantiles = np.array([NORMAL.inv_cdf(share) for share in (middle / len(values)).tolist()])
    found: Vector = quantiles[place]
    return found


# What trials have shown


def _outcomes(drawing: Drawing, history: Sequence[Past]) -> list[tuple[Point, float]]:
    """Return the points of which something is known, with what they came to or would have come to; less is better."""
    sign = 1.0 if drawing.direction == "minimize" else -1.0
    complete = [past for past in history if past.state == "complete" and _is_finite(past.value)]
    ends = [sign * float(past.value or 0.0) for past in complete]
    if not ends:
        return []
    guess = partial(_would_be, sign=sign, complete=complete, worst=max(ends))
    values = dict(zip(map(id, complete), ends, strict=True))
    values |= {id(past): value for past in history if id(past) not in values and (value := guess(past)) is not None}
    points = [(_point(drawing, past), values[id(past)]) for past in history if id(past) in values]
    return [(point, value) for point, value in points if point is not None]


def _would_be(past: Past, sign: float, complete: Sequence[Past], worst: float) -> float | None:
    """Return what a trial would have come to, judged by those that stood nearest at its last rung."""
    if past.state == "failed":
        return worst if past.error == DIVERGED else None
    rungs = _rungs(past)
    if not rungs:
        return None
    last = max(rungs)
    own = sign * rungs[last]
    others = [(sign * one.rungs[last], sign * float(one.value or 0.0)) for one in complete if last in _rungs(one)]
    if not others:
        return None
    near = sorted(others, key=lambda other: abs(other[0] - own))[:NEIGHBOURS]
    guessed = sum(end for _, end in near) / len(near)
    return max(guessed, worst) if own > max(value for value, _ in others) else guessed


def _shown(known: list[tuple[Point, float]]) -> list[tuple[Point, float]]:
    """Return the best and the latest of a long history, in its order."""
    if len(known) <= BEST_SHOWN + LATEST_SHOWN:
        return known
    older = range(len(known) - LATEST_SHOWN)
    best = sorted(older, key=lambda i: known[i][1])[:BEST_SHOWN]
    return [known[i] for i in sorted(best)] + known[-LATEST_SHOWN:]


def _point(drawing: Drawing, past: Past) -> Point | None:
    candidate = (past.candidate or drawing.space.candidate_of(past.params)) if past.params else None
    return None if candidate is None else Point(candidate, dict(past.params))


def _rungs(past: Past) -> dict[int, float]:
    return {rung: value for rung, value in past.rungs.items() if math.isfinite(value)}


def _is_finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
