"""How near to the optimum each kind of schedule comes on the noisy quadratic: no search of a space can do better.

    python -m benchmarks.floors --tasks "quadratic B=32" --budget 100

For each kind of schedule of the space of a study of so many trials: the least expected loss found by random candidates
and small steps from the best of them, over that of the computed optimal schedule, less 1. A minute a task.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from search_spaces.candidate import Candidate
from search_spaces.space import Space
from service.near import stepped

from .pruning.pools import BUDGET, quadratic_space
from .pruning.quadratic import REGIMES, Regime, rates_of

BEGUN, ROUNDS, STEPS = 300, 25, 30
"""Random candidates, and rounds of so many small steps from the best."""
SPREAD = 0.04
"""Of a step, in widths of a range."""
RESTARTS = 2


def floor(space: Space, regime: Regime, dice: random.Random) -> tuple[float, Candidate]:
    """Return the least loss found over the optimum's, less 1, and whose it is."""
    optimum = float(regime.problem.losses(regime.problem.optimal(regime.steps))[-1])
    drawn = [_from(space, None, dice) for _ in range(BEGUN)]
    losses = ended(drawn, regime)
    best, least = drawn[int(losses.argmin())], float(losses.min())
    for _ in range(ROUNDS):
        steps = [_from(space, best, dice) for _ in range(STEPS)]
        losses = ended(steps, regime)
        if losses.min() < least:
            best, least = steps[int(losses.argmin())], float(losses.min())
    return least / optimum - 1, best


def ended(candidates: Sequence[Candidate], regime: Regime) -> NDArray[np.float64]:
    """Return the expected losses at the end: (n,)."""
    made = regime.problem
    moments = np.tile(made.moments, (len(candidates), 1))
    for rates in rates_of(candidates, regime.steps).T[:, :, None]:
        moments *= (1 - rates * made.curvatures) ** 2
        moments += rates**2 * made.variances
    losses: NDArray[np.float64] = moments @ made.curvatures / 2
    return losses


def _from(space: Space, centre: Candidate | None, dice: random.Random) -> Candidate:
    params = (centre and space.params_of(centre)) or {}
    return space.suggest(lambda name, allowed: stepped(allowed, params.get(name), SPREAD, dice))[0]


def main(arguments: list[str] | None = None) -> int:
    """Print a table for each task."""
    text = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m benchmarks.floors", description=__doc__, formatter_class=text)
    parser.add_argument("--tasks", nargs="+", choices=list(REGIMES), default=[f"quadratic B={b}" for b in (1, 4, 32)])
    parser.add_argument(
        "--budget", type=int, default=BUDGET, help=f"trials, which decide the space (default: {BUDGET})"
    )
    flags = parser.parse_args(arguments)
    space = quadratic_space(flags.budget)
    for task in flags.tasks:
        print(f"| {task} | above the optimum | initial LR |\n|---|---|---|", flush=True)
        for kind, ranges in space.schedules.items():
            alone = space.model_copy(update={"schedules": {kind: ranges}})
            found = [floor(alone, REGIMES[task], random.Random(seed)) for seed in range(RESTARTS)]
            least, best = min(found, key=lambda one: one[0])
            print(f"| {kind} | {least:.3f} | {best.initial_lr:.3g} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
