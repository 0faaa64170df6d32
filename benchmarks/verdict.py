"""How often a verdict names a false winner, how often it sees a true one, and what that costs: by simulation.

    nice -n 19 python -m benchmarks.verdict --repeats 20000

prints the tables of docs/verdict.md: every design on the same simulated tables, then the chosen one on all of them.
A winner is false where its true mean is not above that of the best baseline. Noise is normal with the standard
deviation 1 unless said; a part of it may be common to all arms on a seed.
"""

from __future__ import annotations

import argparse
import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from search_spaces.baselines import BASELINES
from search_spaces.results import Arm, Difference
from service.detectable import detectable_gain
from service.margins import LOWER
from service.verdict import judge, with_statistics

from .verdict_designs import (
    Design,
    Floats,
    best_against_best,
    every_baseline,
    holm,
    limits_of,
    pooled,
    two_looks,
    two_stages,
    verdicts_of,
)

MOST_SEEDS = 12
SURE = 0.95
"""Of the one-sided binomial limit (Clopper and Pearson)."""
DESIGNS: Mapping[str, Design] = {
    "best against best, paired t, 7 seeds": best_against_best(7),
    "best against best, paired t, 9 seeds": best_against_best(9),
    "pooled residual, 7 seeds": pooled(7),
    "half pooled, 8 seeds": pooled(8, share=0.5),
    "two stages, 3 + 8 seeds, at 5 %": two_stages(3, 8),
    "two stages, 3 + 8 seeds, at 3.5 %": two_stages(3, 8, level=LOWER),
    "Holm over all pairs, 9 seeds": holm(9),
    "two looks, 5 and 9 seeds": two_looks(5, 9),
    "every baseline, 7 seeds": every_baseline(7),
    "every baseline, 9 seeds": every_baseline(9),
}


@dataclass(frozen=True)
class Scene:
    """What is true: means and noise of every arm, candidates first."""

    name: str
    candidates: int
    means: tuple[float, ...]
    noise: tuple[float, ...]
    correlation: float = 0.0
    quantum: float | None = None
    """The metric is rounded to multiples of this."""
    diverged: tuple[int, float] | None = None
    """An arm and what is added to it on the first seed; nan: it gives no value there."""

    def tables(self, rng: np.random.Generator, repeats: int, seeds: int) -> Floats:
        """Draw (repeats, arms, seeds) values; the common part has the noise of the quietest arm."""
        noise = np.array(self.noise)[:, None]
        common = noise.min() * math.sqrt(self.correlation)
        drawn: Floats = rng.standard_normal((repeats, len(self.means), seeds)) * np.sqrt(noise**2 - common**2)
        drawn += common * rng.standard_normal((repeats, 1, seeds)) + np.array(self.means)[:, None]
        if self.quantum is not None:
            drawn = np.round(drawn / self.quantum) * self.quantum
        if self.diverged is not None:
            arm, harm = self.diverged
            drawn[:, arm, 0] += harm
        return drawn

    def gains(self) -> Floats:
        """Return the true gain of each candidate over the best baseline."""
        means = np.array(self.means)
        gains: Floats = means[: self.candidates] - means[self.candidates :].max()
        return gains


def level(candidates: int, baselines: int, name: str = "equal", apart: float = 0.0) -> Scene:
    """Return candidates as good as the best baseline, the other baselines `apart` below it."""
    means = (0.0,) * (candidates + 1) + (-apart,) * (baselines - 1)
    return Scene(name, candidates, means, (1.0,) * len(means))


def ahead(scene: Scene, gain: float = 2.0) -> Scene:
    """Return the scene with the first candidate that much better."""
    return replace(scene, means=(gain, *scene.means[1:]))


def noises(candidates: int, baselines: int) -> dict[str, tuple[float, ...]]:
    """Return who may be three times as noisy as the others; the first baseline is the best one."""
    quiet = (1.0,) * (baselines - 1)
    return {
        "equal noise": (1.0,) * (candidates + baselines),
        "candidates 3 x": (3.0,) * candidates + (1.0,) * baselines,
        "one candidate 3 x": (3.0,) + (1.0,) * (candidates + baselines - 1),
        "best baseline 3 x": (1.0,) * candidates + (3.0, *quiet),
        "candidates and best baseline 3 x": (3.0,) * (candidates + 1) + quiet,
    }


def compared_scenes() -> Iterator[Scene]:
    """Return the scenes on which all designs are shown."""
    for baselines in (1, 3, 7):
        yield level(2, baselines, f"{baselines} baseline{'s' * (baselines > 1)}")
    yield level(2, 3, "3 baselines, two of them 1 lower", apart=1.0)
    yield level(2, 7, "7 baselines, six of them 8 lower", apart=8.0)
    noisy = noises(2, 7)["candidates and best baseline 3 x"]
    yield replace(level(2, 7, "the same, candidates and best baseline 3 x as noisy", apart=8.0), noise=noisy)
    for correlation in (0.5, 0.8):
        yield replace(level(2, 3, f"3 baselines, correlation {correlation}"), correlation=correlation)
    for steps in (0.5, 2.0):
        yield replace(level(2, 3, f"3 baselines, rounded to 1/359, noise of {steps:g}/359"), quantum=1 / steps)
    yield replace(level(2, 3, "3 baselines, one without a value on a seed"), diverged=(4, math.nan))
    yield replace(level(2, 3, "3 baselines, one 50 lower on a seed"), diverged=(4, -50.0))
    yield replace(level(2, 3, "3 baselines, second candidate 50 lower on a seed"), diverged=(1, -50.0))


def every_scene() -> Iterator[Scene]:
    """Return all crossings in which no candidate is better than the best baseline."""
    counts, below, correlations = ((1, 1), (2, 1), (2, 3), (2, 7), (3, 3)), (0.0, 1.0, 8.0), (0.0, 0.5, 0.8)
    for (candidates, baselines), apart in itertools.product(counts, below):
        if baselines == 1 and apart:
            continue
        base = level(candidates, baselines, f"{candidates} + {baselines} arms, others {apart:g} lower", apart)
        for name, noise in noises(candidates, baselines).items():
            for correlation in correlations:
                known = f"{base.name}, {name}, correlation {correlation:g}"
                yield replace(base, name=known, noise=noise, correlation=correlation)
    for (candidates, baselines), steps in itertools.product(counts, (0.5, 1.0, 2.0)):
        base = level(candidates, baselines, f"{candidates} + {baselines} arms, noise of {steps:g}/359")
        for offset in (0.0, 0.3, 0.5):
            moved = tuple(mean + offset / steps for mean in base.means)
            yield replace(base, means=moved, quantum=1 / steps)
    for (candidates, baselines), harm in itertools.product(counts, (math.nan, -50.0)):
        if baselines == 1 and harm < 0:
            continue  # the only baseline is then worse in truth: a winner over it is no false one
        base = level(candidates, baselines, f"{candidates} + {baselines} arms, a baseline diverged ({harm:g})")
        yield replace(base, diverged=(candidates + baselines - 1, harm))


def percent(count: int, repeats: int, limit: bool = False) -> str:
    """Return a share in percent, with the upper limit where it is asked for."""
    share = f"{100 * count / repeats:.1f}"
    return f"{share} (< {100 * upper_limit(count, repeats):.1f})" if limit else share


def upper_limit(count: int, repeats: int) -> float:
    """Return the 95 % upper confidence limit of a share."""
    return 1.0 if count == repeats else float(stats.beta.ppf(SURE, count + 1, repeats - count))


def show(*cells: object) -> None:
    """Print a row of a table in Markdown."""
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def show_designs(rng: np.random.Generator, repeats: int) -> None:
    """Print false winners, power at two standard deviations and trainings of every design."""
    for name, design in DESIGNS.items():
        print(f"\n**{name}**\n")
        show("setting", "false winners %", "power %", "trainings")
        show("---", "---", "---", "---")
        for scene in compared_scenes():
            none = design(scene.tables(rng, repeats, MOST_SEEDS), scene.candidates)
            better = ahead(scene)
            told = design(better.tables(rng, repeats, MOST_SEEDS), scene.candidates)
            true = told.wins & (better.gains()[told.finalist] > 0)
            trainings = f"{told.trainings.mean():.0f}"
            show(scene.name, percent(none.wins.sum(), repeats, limit=True), percent(true.sum(), repeats), trainings)


def show_worst(rng: np.random.Generator, repeats: int) -> None:
    """Print the setting in which each design names the most false winners, of all that there are."""
    print("\n**Every design in its worst setting**\n")
    show("design", "settings", "most false winners %", "where")
    show(*["---"] * 4)
    # Without its only baseline, a design has nothing to compare.
    scenes = [scene for scene in every_scene() if scene.diverged is None or len(scene.means) - scene.candidates > 1]
    for name, design in DESIGNS.items():
        told = [
            (int(design(scene.tables(rng, repeats, MOST_SEEDS), scene.candidates).wins.sum()), scene.name)
            for scene in scenes
        ]
        count, where = max(told)
        show(name, len(scenes), percent(count, repeats, limit=True), where)


def show_every_scene(rng: np.random.Generator, repeats: int) -> None:
    """Print the chosen design's worst settings by number of seeds: false winners, and each end of the interval."""
    print("\n**The chosen design in every setting**\n")
    show("seeds", "settings", "most false winners %", "where", "lower end too high %", "upper end too low %", "both %")
    show(*["---"] * 7)
    for seeds in (2, 3, 5, 7, 9, 12):
        false, ends = [], []
        scenes = list(every_scene())
        for scene in scenes:
            found = limits_of(scene.tables(rng, repeats, seeds), scene.candidates)
            truth = scene.gains()[found.finalist]
            false.append((int((found.lower > 0).sum()), scene.name))
            if scene.diverged is None and scene.quantum is None:
                low, high = found.lower > truth, found.upper < truth
                ends.append([low.sum(), high.sum(), (low | high).sum()])
        count, where = max(false)
        worst = [percent(int(most), repeats, limit=True) for most in np.array(ends).max(axis=0)]
        show(seeds, len(scenes), percent(count, repeats, limit=True), where, *worst)


def show_power(rng: np.random.Generator, repeats: int) -> None:
    """Print what the chosen design says by true gain, and the gain that it promises to detect."""
    print("\n**What the chosen design says**\n")
    gains = (0.0, 1.0, 2.0, 3.0)
    show("arms", "seeds", "trainings", "detectable", *[f"gain {gain:g}: winner / no_winner %" for gain in gains])
    show(*["---"] * (4 + len(gains)))
    for baselines, seeds in ((1, 3), (1, 7), (1, 9), (3, 3), (3, 5), (3, 7), (3, 8), (3, 9), (4, 9), (7, 7), (7, 9)):
        scene = level(2, baselines)
        shares = []
        for gain in gains:
            wins, none = verdicts_of(ahead(scene, gain).tables(rng, repeats, seeds), 2)
            shares.append(f"{percent(wins.sum(), repeats)} / {percent(none.sum(), repeats)}")
        detectable = detectable_gain(arms=(2, baselines), seeds=seeds, noise=1.0)
        show(f"2 + {baselines}", seeds, (2 + baselines) * seeds, f"{detectable:.2f}", *shares)


SHAPES: Mapping[str, Callable[[np.random.Generator, tuple[int, ...]], Floats]] = {
    "Student's t, 3 degrees of freedom": lambda rng, shape: rng.standard_t(3, shape),
    "lognormal, worse tail long": lambda rng, shape: math.exp(0.32) - np.exp(0.8 * rng.standard_normal(shape)),
    "lognormal, better tail long": lambda rng, shape: np.exp(0.8 * rng.standard_normal(shape)) - math.exp(0.32),
}
"""Noise of mean 0 that is not normal."""


def show_shapes(rng: np.random.Generator, repeats: int) -> None:
    """Print false winners of the chosen design where noise is not normal: two candidates, one baseline as good."""
    scales = {"equal": (1.0, 1.0, 1.0), "candidates 3 x": (3.0, 3.0, 1.0), "baseline 3 x": (1.0, 1.0, 3.0)}
    print("\n**Noise that is not normal: false winners of the chosen design, %**\n")
    show("noise", "seeds", *scales)
    show(*["---"] * (2 + len(scales)))
    for (name, draw), seeds in itertools.product(SHAPES.items(), (3, 9)):
        shares = []
        for scale in scales.values():
            tables = draw(rng, (repeats, 3, seeds)) * np.array(scale)[:, None]
            shares.append(percent(int((limits_of(tables, 2).lower > 0).sum()), repeats, limit=True))
        show(name, seeds, *shares)


def differing(rng: np.random.Generator, tables: int) -> list[str]:
    """Return where the designs' `verdicts_of` and the service's `judge` disagree, on tables of every scene."""
    wrong = []
    scenes = list(every_scene())
    for place in range(tables):
        scene = ahead(scenes[place % len(scenes)], gain=float(rng.choice([0.0, 1.0, 2.0])))
        table = scene.tables(rng, 1, int(rng.integers(2, MOST_SEEDS + 1)))
        wins, none = verdicts_of(table, scene.candidates)
        expected = "winner" if wins[0] else "no_winner" if none[0] else "undecided"
        judged = judge(arms_of(table[0], scene.candidates), "maximize")
        if not _same(table, scene, judged.difference) or judged.verdict != expected:
            wrong.append(f"{scene.name}: {expected}, judged {judged.verdict}")
    return wrong


def _same(table: Floats, scene: Scene, difference: Difference | None) -> bool:
    found = limits_of(table, scene.candidates)
    interval = (-math.inf, math.inf) if difference is None else difference.interval
    return bool(np.allclose(interval, (found.lower[0], found.upper[0]), rtol=1e-9, atol=1e-12))


def arms_of(table: Floats, candidates: int) -> Sequence[Arm]:
    """Return a table (arms, seeds) as the service holds it."""
    candidate = BASELINES["adam-constant"]
    roles = ["candidate" if place < candidates else "baseline" for place in range(len(table))]
    arms = []
    for place, (role, values) in enumerate(zip(roles, table.tolist(), strict=True)):
        known = {"name": f"arm-{place}", "role": role, "candidate": candidate, "values": dict(enumerate(values))}
        arms.append(with_statistics(Arm.model_validate(known)))
    return arms


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=20_000, help="simulated tables a cell")
    parser.add_argument("--seed", type=int, default=18)
    parser.add_argument("--judged", type=int, default=2_000, help="tables on which the service's own judge is asked")
    options = parser.parse_args()
    rng, start = np.random.default_rng(options.seed), time.monotonic()
    wrong = differing(rng, options.judged)
    print(f"{len(wrong)} of {options.judged} tables judged otherwise by the service", *wrong[:5], sep="\n")
    show_designs(rng, options.repeats)
    show_power(rng, options.repeats)
    show_worst(rng, options.repeats)
    show_every_scene(rng, options.repeats)
    show_shapes(rng, options.repeats)
    print(f"\n{options.repeats} tables a cell, {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
