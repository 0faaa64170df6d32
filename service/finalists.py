"""Which candidates of a search are confirmed: the best, and where scores are too close to rank, different ones."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from search_spaces.candidate import Candidate
from search_spaces.study import Direction
from store.proposals import Past

BEST_SHARE, LEAST_TRIALS = 4, 3
"""One in so many of the search's trials, and no fewer than so many, say how close scores are to one another."""


def finalists(trials: Sequence[Past], top: int, direction: Direction) -> list[Candidate]:
    """Return up to `top` distinct candidates of complete trials, the best first.

    A candidate whose score is within noise of the best is passed over for one as close to it that has another optimizer
    or another schedule family: two of one kind would make a confirmation of one bet.
    """
    sign = 1.0 if direction == "minimize" else -1.0
    ranked = sorted(trials, key=lambda trial: (sign * (trial.value or 0.0), trial.seq or 0))
    rest = _distinct(ranked)
    if not rest:
        return []
    near = score_noise(trials, direction)
    best = rest[0].value or 0.0
    chosen: list[Past] = [rest.pop(0)]
    while rest and len(chosen) < top:
        kinds = {_kind(trial) for trial in chosen}
        close = (trial for trial in rest if abs((trial.value or 0.0) - best) <= near)
        other = next((trial for trial in close if _kind(trial) not in kinds), rest[0])
        chosen.append(other)
        rest.remove(other)
    return [trial.candidate for trial in chosen if trial.candidate is not None]


def _distinct(ranked: Sequence[Past]) -> list[Past]:
    """Return the first trial of each candidate."""
    found: list[Past] = []
    for trial in ranked:
        if trial.candidate is not None and all(trial.candidate != other.candidate for other in found):
            found.append(trial)
    return found


def score_noise(trials: Sequence[Past], direction: Direction) -> float:
    """Return the standard deviation of the best quarter of scores; 0 where fewer than three are known.

    A search trains every candidate once, with one seed, so the noise between seeds is not known yet. Among its best the
    sampler has come to candidates much alike: what their scores differ by stands for it.
    """
    sign = 1.0 if direction == "minimize" else -1.0
    scores = sorted(sign * trial.value for trial in trials if trial.value is not None)
    best = scores[: max(LEAST_TRIALS, math.ceil(len(scores) / BEST_SHARE))]
    return statistics.stdev(best) if len(best) >= LEAST_TRIALS else 0.0


def _kind(trial: Past) -> tuple[str, str]:
    assert trial.candidate is not None
    return trial.candidate.optimizer.kind, trial.candidate.schedule.kind
