"""Successive halving of a recorded pool by a rule, at a given share of what training all of it would cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .recorded import Recorded
from .rules import Rule, Values

RUNGS = (0.1, 0.2, 0.3, 0.5)
"""Those of a study by default."""

Alive = NDArray[np.bool_]


@dataclass(frozen=True)
class Judged:
    """What a rule would see of a pool, read once: halving at any cost is then a matter of sorting."""

    rule: Rule
    rungs: tuple[float, ...]
    seen: tuple[Values, ...]
    """At each rung (n,)."""
    rises: NDArray[np.float64]
    """(n,): each candidate is exempt before this share of the horizon; infinite for those that a rule lets end."""

    @classmethod
    def of(cls, rule: Rule, pool: Recorded, rungs: Sequence[float] = RUNGS) -> Judged:
        """Read a pool."""
        rises = np.where(np.arange(len(pool)) < rule.ended, np.inf, pool.rises)
        return cls(rule, tuple(rungs), tuple(rule.values(pool, share) for share in rungs), rises)

    def taken(self, places: NDArray[np.intp]) -> Judged:
        """Return the same of some candidates, who may be repeated."""
        return Judged(self.rule, self.rungs, tuple(values[places] for values in self.seen), self.rises[places])

    def halved(self, keep: float) -> tuple[Alive, float]:
        """Return who passes all rungs when each lets the best `keep` pass, and the cost as a share of full training."""
        alive = np.ones(len(self.rises), dtype=bool)
        spent, before = 0.0, 0.0
        for share, values in zip(self.rungs, self.seen, strict=True):
            stretch = share if self.rule.anew else (share - before) * (1 + self.rule.surcharge)
            spent += alive.sum() * (stretch + self.rule.branch)
            alive &= self._passes(alive, values, share, keep)
            before = share
        spent += alive.sum() * (1.0 if self.rule.anew else 1 - before)
        return alive, spent / len(alive)

    def at_cost(self, cost: float) -> Alive:
        """Return who passes at a cost, by bisection of the share that each rung lets pass."""
        low, high = 0.0, 1.0
        for _ in range(12):
            keep = (low + high) / 2
            low, high = (low, keep) if self.halved(keep)[1] > cost else (keep, high)
        return self.halved(low)[0]

    def _passes(self, alive: Alive, values: Values, share: float, keep: float) -> Alive:
        exempt = (self.rises > share) if self.rule.exempts else np.zeros_like(alive)
        compared = np.flatnonzero(alive & ~exempt)
        best = compared[np.argsort(values[compared], kind="stable")[: round(keep * len(compared))]]
        passes: Alive = exempt.copy()
        passes[best[np.isfinite(values[best])]] = True
        return passes
