"""Words and blocks: a candidate as a sentence's part, a curve as a line in a terminal."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from .candidate import Candidate
from .modifiers import Restarts, Warmup
from .schedules import AnySchedule
from .schedules.base import percent

BLOCKS = " ▁▂▃▄▅▆▇█"


def describe(candidate: Candidate) -> str:
    """Say a candidate in the words that a person reads.

    >>> from .baselines import BASELINES
    >>> describe(BASELINES["adamw-warmup-cosine"])
    'AdamW (beta1 0.9, beta2 0.999, weight decay 0.01) at 0.001, cosine to 0 with 5 % linear warm-up'
    """
    optimizer = candidate.optimizer
    words = ", ".join(optimizer.words())
    named = f"{optimizer.title} ({words})" if words else optimizer.title
    ratios = "".join(f", {group} at x{ratio:.3g}" for group, ratio in candidate.lr_ratios.items())
    return f"{named} at {candidate.initial_lr:.3g}{ratios}, {describe_schedule(candidate.schedule)}"


def describe_schedule(schedule: AnySchedule) -> str:
    """Say a schedule: its body, then what was put around it."""
    parts = [schedule.phrase()]
    if schedule.reverse:
        parts.append("played backwards")
    if schedule.restarts is not None:
        parts.append(_restarts(schedule.restarts))
    if schedule.warmup is not None:
        parts.append(_warmup(schedule.warmup))
    return " ".join(parts)


def _restarts(restarts: Restarts) -> str:
    longer = "" if restarts.length_multiplier == 1 else f", each {restarts.length_multiplier:g} times as long"
    lower = "" if restarts.peak_gamma == 1 else f", each x{restarts.peak_gamma:g} as high"
    return f"in {restarts.count} cycles{longer}{lower}"


def _warmup(warmup: Warmup) -> str:
    start = f" from {warmup.start_factor:.3g}" if warmup.start_factor else ""
    return f"with {percent(warmup.fraction)} {warmup.shape} warm-up{start}"


def blocks(values: Sequence[float], width: int = 60) -> str:
    """Draw values (all >= 0) as one line of at most `width` block characters, each the mean of its share of them.

    >>> blocks([0, 1, 2, 3, 4, 5, 6, 7, 8])
    ' ▁▂▃▄▅▆▇█'
    """
    columns = min(width, len(values))
    ends = [len(values) * column // columns for column in range(columns + 1)] if columns else [0]
    means = [math.fsum(values[a:b]) / (b - a) for a, b in itertools.pairwise(ends)]
    top = max(means, default=0.0)
    levels = len(BLOCKS) - 1
    return "".join(BLOCKS[math.ceil(levels * mean / top - 1e-9) if top > 0 else 0] for mean in means)
