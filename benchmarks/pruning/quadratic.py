"""The noisy quadratic's learning curves without any training: expectations over its noise, exact and vectorised.

Beside the second moments E x^2 (workers/quadratic.py), those of the running averages y of the weights are followed:

    y <- b y + (1 - b) x at each move,  so  E y^2 <- b^2 E y^2 + 2 b (1 - b) E xy + (1 - b)^2 E x^2

and E xy <- (1 - a h) E xy at each update. 20,000 candidates take a minute or two and are kept under var/pruning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search_spaces.candidate import Candidate
from search_spaces.schedules import curve
from workers.averaging import Pace
from workers.quadratic import Quadratic, Vector
from workers.tasks.noisy_quadratic import QuadraticParams, problem

from .record import BRANCHED, COOLDOWN, SHARES, rungs_of, share_of


@dataclass(frozen=True)
class Regime:
    """A noisy quadratic and the updates on it."""

    examples: int
    """Of a batch: with more of them there is less noise."""
    steps: int
    dimensions: int = 100
    candidates: int = 20_000
    """Of the wide pool."""

    @property
    def problem(self) -> Quadratic:
        """That of the task `noisy-quadratic` with these parameters."""
        return problem(QuadraticParams(examples=self.examples, dimensions=self.dimensions))


REGIMES = {
    **{f"quadratic B={examples}": Regime(examples, 200) for examples in (1, 4, 32)},
    **{f"quadratic B={examples}, d=1000": Regime(examples, 1000, 1000, 4000) for examples in (1, 4, 32)},
    **{f"quadratic B={examples}, settled": Regime(examples, 1000) for examples in (1, 4, 32)},
}
"""The noisy quadratic as tasks: as it is, and at a longer horizon.

In 200 updates, the task's own horizon, most of its 100 coordinates are still on their way to the optimum, and so are
most of 1000 coordinates in 1000 updates. In 1000 updates 100 coordinates have settled, and what is left is noise.
"""
BLOCK = 50_000
"""Candidates at once, times dimensions: what is followed of them stays in the processor's cache."""

Curves = dict[str, NDArray[np.float32]]
Table = NDArray[np.float64]


def rates_of(candidates: Sequence[Candidate], steps: int) -> Table:
    """Return each candidate's learning rates over a horizon: (n, steps)."""
    return np.stack([one.initial_lr * curve(one.schedule, steps) for one in candidates])


def curves(candidates: Sequence[Candidate], task: str, *, rest: bool = True) -> Curves:
    """Return what a recording of these candidates would hold, without its seeds.

    Args:
        candidates: of SGD without momentum and weight decay.
        task: one of `REGIMES`.
        rest: whether branches and shorter schedules are computed, too.
    """
    regime = REGIMES[task]
    size = BLOCK // regime.dimensions
    blocks = [_block(candidates[start : start + size], regime, rest=rest) for start in range(0, len(candidates), size)]
    return {name: np.concatenate([block[name] for block in blocks]).astype(np.float32) for name in blocks[0]}


def _block(candidates: Sequence[Candidate], regime: Regime, *, rest: bool) -> Mapping[str, Table]:
    made, steps = regime.problem, regime.steps
    rates = rates_of(candidates, steps)
    found = _Followed(made, rates)
    if not rest:
        return {"raw": found.raw, "averages": found.averages}
    cooled = []
    for share in BRANCHED:
        at, length = share_of(share, steps), share_of(COOLDOWN, steps)
        falling = rates[:, at, None] * (1 - np.arange(length) / length)
        cooled.append(_ended(made, found.kept[at], falling))
    shorter = [_ended(made, _start(made, len(rates)), rates_of(candidates, share_of(s, steps))) for s in BRANCHED]
    return {
        "raw": found.raw,
        "averages": found.averages,
        "cooldown": np.stack(cooled, axis=1),
        "rescaled": np.stack(shorter, axis=1),
    }


class _Followed:
    """Whole trainings with their running averages."""

    def __init__(self, made: Quadratic, rates: Table) -> None:
        count, steps = rates.shape
        rungs = rungs_of(steps)
        self._made = made
        self._pace = Pace(steps, rungs[-2], SHARES)
        self._own = _start(made, count)
        self._both = [np.zeros_like(self._own) for _ in self._pace.decays]
        self._averaged = [np.zeros_like(self._own) for _ in self._pace.decays]
        self.raw: Table = np.empty((count, len(rungs)))
        """(n, rungs)"""
        self.averages: Table = np.empty((count, len(self._both), len(rungs) - 1))
        """(n, averages, rungs but the last)"""
        self.kept: dict[int, Table] = {}
        """Second moments at the rungs."""
        for step in range(1, steps + 1):
            self._update(rates[:, step - 1, None])
            if self._pace.is_due(step):
                self._move()
            if step in rungs:
                self._judge(rungs.index(step), step)

    def _update(self, rates: Table) -> None:
        left = 1 - rates * self._made.curvatures
        self._own *= left
        self._own *= left
        self._own += rates**2 * self._made.variances
        for both in self._both:
            np.multiply(both, left, out=both)

    def _move(self) -> None:
        for i, decay in enumerate(self._pace.decays):
            both, averaged = self._both[i], self._averaged[i]
            self._averaged[i] = decay**2 * averaged + 2 * decay * (1 - decay) * both + (1 - decay) ** 2 * self._own
            self._both[i] = decay * both + (1 - decay) * self._own

    def _judge(self, place: int, step: int) -> None:
        self.raw[:, place] = self._own @ self._made.curvatures / 2
        self.kept[step] = self._own.copy()
        if step <= self._pace.last:
            for i, (scale, averaged) in enumerate(zip(self._pace.scales(step), self._averaged, strict=True)):
                self.averages[:, i, place] = scale**2 * (averaged @ self._made.curvatures) / 2


def _start(made: Quadratic, count: int) -> Table:
    return np.tile(made.moments, (count, 1))


def _ended(made: Quadratic, moments: Table, rates: Table) -> Vector:
    """Return the expected loss after updates at these rates: (n,)."""
    own = moments.copy()
    for step in range(rates.shape[1]):
        own *= (1 - rates[:, step, None] * made.curvatures) ** 2
        own += rates[:, step, None] ** 2 * made.variances
    ended: Vector = own @ made.curvatures / 2
    return ended
