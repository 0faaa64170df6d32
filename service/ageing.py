"""What a sampler is shown of the trials of earlier studies, so that a change of data can overrule them.

Their values are put onto the study's own level: what both have trained, the answers tried first above all, says by how
much it differs. So a candidate that was best in earlier data and is not in these takes its neighbours down with it. And
they fade: of the latest study half are shown after ten trials of the study's own, of the one before a quarter, and so
on, the worst going first. Chosen by benchmarks/nights.py.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace

from search_spaces.study import Direction
from store.proposals import Past
from store.states import ENDED_TRIAL

HALF_LIFE = 10
"""Own trials after which half of the latest study's are shown."""


def with_aged(past: Sequence[Past], direction: Direction) -> list[Past]:
    """Return `past` with the trials of earlier studies, which have an age, faded and on the study's own level.

    They come first; the others follow as they are.
    """
    own = [trial for trial in past if trial.age is None]
    warm = [trial for trial in past if trial.age is not None]
    if not warm:
        return own
    shifts = _shifts(warm, own)
    ended = sum(trial.seq is not None and trial.state in ENDED_TRIAL for trial in own)
    shown: list[Past] = []
    for age, trials in _by_age(warm).items():
        left = math.ceil(len(trials) * 0.5 ** (age * ended / HALF_LIFE) - 0.5)
        shown.extend(_level(trial, shifts[age]) for trial in _best(trials, direction)[:left])
    return [*shown, *own]


def _by_age(warm: Sequence[Past]) -> dict[int, list[Past]]:
    ages: dict[int, list[Past]] = {}
    for trial in warm:
        ages.setdefault(trial.age or 0, []).append(trial)
    return ages


def _best(trials: Sequence[Past], direction: Direction) -> list[Past]:
    sign = 1.0 if direction == "minimize" else -1.0
    return sorted(trials, key=lambda trial: sign * (trial.value or 0.0))


def _level(trial: Past, shift: float) -> Past:
    return trial if trial.value is None else replace(trial, value=trial.value + shift)


def _shifts(warm: Sequence[Past], own: Sequence[Past]) -> Mapping[int, float]:
    """Return, by age, by how much values differ now: the median over what both have trained.

    A study that shares nothing with this one takes the others' median.
    """
    now = {_point(trial): trial.value for trial in own if trial.state == "complete" and trial.value is not None}
    found: dict[int, list[float]] = {age: [] for age in _by_age(warm)}
    for trial in warm:
        value = now.get(_point(trial))
        if value is not None and trial.value is not None and trial.age is not None:
            found[trial.age].append(value - trial.value)
    every = [shift for shifts in found.values() for shift in shifts]
    usual = statistics.median(every) if every else 0.0
    return {age: statistics.median(shifts) if shifts else usual for age, shifts in found.items()}


def _point(trial: Past) -> str:
    return json.dumps(trial.params, sort_keys=True)
