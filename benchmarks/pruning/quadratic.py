"""The noisy quadratic's learning curves without any training: expectations over its noise, exact and vectorised.

Beside the second moments E x^2 (workers/quadratic.py), those of the running averages y of the weights are followed:

    y <- b y + (1 - b) x at each move,  so  E y^2 <- b^2 E y^2 + 2 b (1 - b) E xy + (1 - b)^2 E x^2

and E xy <- (1 - a h) E xy at each update. 20,000 candidates take a minute or two and are kept under var/pruning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from search_spaces.candidate import Candidate
from search_spaces.schedules import curve
from workers.averaging import Pace
from workers.quadratic import Quadratic, Vector
from workers.tasks.noisy_quadratic import QuadraticParams, problem

from .record import BRANCHED, COOLDOWN, rungs_of, share_of

STEPS = 1000
REGIMES = (1, 4, 32)
"""Examples of a batch: with more of them there is less noise."""
BLOCK = 512
"""Candidates at once: what is followed of them stays in the processor's cache."""

Curves = dict[str, NDArray[np.float32]]
Table = NDArray[np.float64]


def bowl(examples: int) -> Quadratic:
    """Return the problem of the task `noisy-quadratic` with so many examples a batch."""
    return problem(QuadraticParams(examples=examples))


def rates_of(candidates: Sequence[Candidate], steps: int) -> Table:
    """Return each candidate's learning rates over a horizon: (n, steps)."""
    return np.stack([one.initial_lr * curve(one.schedule, steps) for one in candidates])


def curves(candidates: Sequence[Candidate], examples: int, *, rest: bool = True) -> Curves:
    """Return what a recording of these candidates would hold, without its seeds.

    Args:
        candidates: of SGD without momentum and weight decay.
        examples: of a batch.
        rest: whether branches and shorter schedules are computed, too.
    """
    blocks = [
        _block(candidates[start : start + BLOCK], bowl(examples), rest=rest)
        for start in range(0, len(candidates), BLOCK)
    ]
    return {name: np.concatenate([block[name] for block in blocks]).astype(np.float32) for name in blocks[0]}


def _block(candidates: Sequence[Candidate], made: Quadratic, *, rest: bool) -> Mapping[str, Table]:
    rates = rates_of(candidates, STEPS)
    found = _Followed(made, rates)
    if not rest:
        return {"raw": found.raw, "averages": found.averages}
    cooled = []
    for share in BRANCHED:
        at, length = share_of(share, STEPS), share_of(COOLDOWN, STEPS)
        falling = rates[:, at, None] * (1 - np.arange(length) / length)
        cooled.append(_ended(made, found.kept[at], falling))
    shorter = [_ended(made, _start(made, len(rates)), rates_of(candidates, share_of(s, STEPS))) for s in BRANCHED]
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
        self._pace = Pace(steps, rungs[-2])
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
