"""How much trainings of one candidate differ by their seeds: from confirmations, or as measured for tasks on board."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from search_spaces.results import Arm

from .paired import finite, seed_correlation, seed_deviation


@dataclass(frozen=True)
class SeedNoise:
    """The noise between seeds at one task and horizon."""

    deviation: float
    """Standard deviation between trainings of one candidate, in the metric's unit."""
    degrees: int
    """Degrees of freedom behind it."""
    correlation: float
    """The share of its variance that candidates have in common on a seed, 0 to 1; 0 where it is not known."""
    source: str
    """Where it is known from, in words."""


ON_BOARD = {
    ("digits-mlp", 510): (0.0138, 10),
    ("digits-noisy", 510): (0.0264, 10),
    ("digits-cnn", 510): (0.0339, 10),
    ("finetune-digits", 200): (0.0346, 10),
    ("embedding", 400): (0.0117, 10),
    ("charlm", 100): (0.0095, 5),
    ("noisy-quadratic", 200): (0.0031, 10),
}
"""Standard deviation between seeds, and their number, by task and horizon in steps: the table in docs/tasks.md."""


def noise_of(arms: Sequence[Arm], source: str) -> SeedNoise | None:
    """Estimate the noise from a confirmation's arms; None where no arm has two values that differ."""
    deviation = seed_deviation(arms)
    degrees = sum(max(0, finite(arm.values.values()).size - 1) for arm in arms)
    return SeedNoise(deviation, degrees, seed_correlation(arms), source) if deviation else None


def pooled(found: Sequence[SeedNoise]) -> SeedNoise | None:
    """Return the noise that several confirmations of one task agree on, each by its degrees of freedom."""
    degrees = sum(one.degrees for one in found)
    if degrees == 0:
        return None
    variance = math.fsum(one.degrees * one.deviation**2 for one in found) / degrees
    correlation = math.fsum(one.degrees * one.correlation for one in found) / degrees
    source = found[0].source if len(found) == 1 else f"{len(found)} confirmations of the task"
    return SeedNoise(math.sqrt(variance), degrees, correlation, source)


def on_board(task: str, horizon_steps: int) -> SeedNoise | None:
    """Return the noise that was measured of a task on board at its horizon, with its default parameters."""
    known = ON_BOARD.get((task, horizon_steps))
    if known is None:
        return None
    deviation, n = known
    return SeedNoise(deviation, n - 1, 0.0, f"docs/tasks.md, over {n} seeds of one candidate")
