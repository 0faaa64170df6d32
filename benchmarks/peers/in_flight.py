"""How many trials may be in flight while TPE learns: `python -m benchmarks.peers.in_flight` (nothing is trained).

Searches of SGD with momentum x initial LR x seven schedules on the noisy quadratic, whose expected losses are computed;
what the search sees of them has noise of 3 %. Trials go on side by side, are halved at the rungs as the service does,
and proposals are drawn by the service's sampling, with `share` of the budget in flight and with or without the values
that open trials have shown at rungs. A line for each search goes to standard output, then the table by policy: the
expected loss of the chosen candidate relative to a quarter in flight without those values, in pairs by seed.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from benchmarks.peers.search import PRUNER, SPACE
from search_spaces.candidate import Candidate
from search_spaces.schedules import rise_steps
from search_spaces.schedules.curve import factors
from search_spaces.space import resolve_space
from search_spaces.steps import whole_steps
from search_spaces.study import SamplerSpec
from service.sampling import Drawing, draw_points
from store.proposals import Past
from store.pruning import passes

STEPS, DIMENSIONS, NOISE, PACE = 200, 60, 0.03, 4
DIVERGED = 1e6
RUNGS = [whole_steps(fraction, STEPS) for fraction in PRUNER.rungs]
POLICIES = {
    "quarter": (0.25, False), "half": (0.5, False), "all": (1.0, False),
    "quarter, rungs seen": (0.25, True), "half, rungs seen": (0.5, True),
    "three quarters, rungs seen": (0.75, True),
}  # fmt: skip


def losses(candidate: Candidate, batch: int) -> dict[int, float]:
    """Return the expected loss at each rung and at the end: moments of x and its velocity, coordinate by coordinate."""
    curvature = 1.0 / np.arange(1, DIMENSIONS + 1)
    rates = candidate.initial_lr * factors(candidate.schedule, np.arange(STEPS), STEPS)
    momentum = float(getattr(candidate.optimizer, "momentum", 0.0))
    xx, xv, vv, found = np.ones(DIMENSIONS), np.zeros(DIMENSIONS), np.zeros(DIMENSIONS), {}
    for step, rate in enumerate(rates, 1):
        vv = momentum**2 * vv + 2 * momentum * curvature * xv + curvature**2 * xx + curvature / batch
        moved = momentum * xv + curvature * xx
        xx, xv = xx - 2 * rate * moved + rate**2 * vv, moved - rate * vv
        if step in RUNGS or step == STEPS:
            loss = float((curvature * xx / 2).sum())
            found[step] = loss if math.isfinite(loss) and loss < DIVERGED else DIVERGED
    return found


@dataclass
class Trial:
    """One in flight."""

    expected: dict[int, float]
    seen: dict[int, float]
    exempt: int
    pace: float
    step: float = 0.0


@dataclass
class Simulated:
    """One search."""

    batch: int
    seed: int
    trials: int
    in_flight: int
    rungs_seen: bool
    pasts: list[Past] = field(default_factory=list)
    open: dict[int, Trial] = field(default_factory=dict)
    expected: list[float] = field(default_factory=list)
    at_rungs: dict[int, list[float]] = field(default_factory=lambda: {rung: [] for rung in RUNGS})

    def chosen(self) -> float:
        """Search, and return the expected loss of the trial that looks best."""
        dice = random.Random(f"{self.seed}-{self.batch}")
        spec = SPACE.model_copy(update={"optimizers": ["sgd"]})
        drawing = Drawing(resolve_space(spec, self.trials), "minimize", SamplerSpec(), self.seed)
        self._draw(drawing, dice)
        while self.open:
            for seq in list(self.open):
                self._advance(seq)
            self._draw(drawing, dice)
        done = [past for past in self.pasts if past.state == "complete"]
        best = min(done, key=lambda past: past.value if past.value is not None else math.inf)
        return self.expected[best.seq or 0]

    def _draw(self, drawing: Drawing, dice: random.Random) -> None:
        first = len(self.pasts)
        places = range(first, min(self.trials, first + self.in_flight - len(self.open)))
        shown = self.pasts if self.rungs_seen else [_without_rungs(past) for past in self.pasts]
        for seq, point in zip(places, draw_points(drawing, shown, places) if places else [], strict=True):
            expected = losses(point.candidate, self.batch)
            seen = {step: loss * math.exp(dice.gauss(0, NOISE)) for step, loss in expected.items()}
            exempt = rise_steps(point.candidate.schedule, STEPS)
            self.open[seq] = Trial(expected, seen, exempt, PACE * dice.uniform(0.9, 1.1))
            self.expected.append(expected[STEPS])
            params = dict(point.params)
            self.pasts.append(
                Past(seq, seq, "search", "sampler", "leased", params, point.candidate, None, drawing.seed)
            )

    def _advance(self, seq: int) -> None:
        trial, past = self.open[seq], self.pasts[seq]
        before, trial.step = trial.step, trial.step + trial.pace
        for rung in [rung for rung in RUNGS if before < rung <= trial.step and rung >= trial.exempt]:
            value = trial.seen[rung]
            past = replace(past, rungs={**past.rungs, rung: value})
            if not passes(value, self.at_rungs[rung], PRUNER, "minimize"):
                past = replace(past, state="pruned")
            self.at_rungs[rung].append(value)
        if past.state == "leased" and trial.step >= STEPS:
            past = replace(past, state="complete", value=trial.seen[STEPS])
        if past.state != "leased":
            del self.open[seq]
        self.pasts[seq] = past


def _without_rungs(past: Past) -> Past:
    return replace(past, rungs={}) if past.state == "leased" else past


def table(found: dict[str, list[float]]) -> Iterator[str]:
    """Yield a row for each policy: median loss, and the mean difference to a quarter in flight with its error."""
    yield "| policy | n | median loss | against a quarter, % | standard error |"
    yield "|---|---|---|---|---|"
    for policy, own in found.items():
        ratios = [100 * math.log(one / two) for one, two in zip(own, found["quarter"], strict=True)]
        error = statistics.stdev(ratios) / math.sqrt(len(ratios)) if len(ratios) > 1 else math.nan
        yield (
            f"| {policy} | {len(own)} | {statistics.median(own):.5f} | {statistics.mean(ratios):+.1f} | {error:.1f} |"
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Search with each policy over the same seeds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=4, help="examples of a batch: the noise of gradients goes by it")
    parser.add_argument("--trials", type=int, default=128)
    parser.add_argument("--seeds", type=int, default=20)
    given = parser.parse_args(arguments)
    found: dict[str, list[float]] = {policy: [] for policy in POLICIES}
    for seed in range(given.seeds):
        for policy, (share, rungs_seen) in POLICIES.items():
            in_flight = math.ceil(share * given.trials)
            found[policy].append(Simulated(given.batch, seed, given.trials, in_flight, rungs_seen).chosen())
            print(f"seed {seed}, {policy}: {found[policy][-1]:.5f}", flush=True)
    print("\n".join(table(found)))


if __name__ == "__main__":
    main()
