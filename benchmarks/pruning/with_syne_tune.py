"""Syne Tune's schedulers, which propose and stop, told of each trial as Syne Tune's own loop (`syne_tune.tuner`) does.

A report at each of 20 rungs, `max_t` of 20, everything else as it is by default (a first rung at the first report, a
reduction factor of 3, one bracket). Its spaces are flat: a scheduler draws every parameter, a candidate uses those that
apply, and a model sees the others, too. What cannot vary is given as a constant.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import numpy as np
from syne_tune import config_space
from syne_tune.backend.trial_status import Trial
from syne_tune.optimizer import baselines
from syne_tune.optimizer.scheduler import SchedulerDecision

from search_spaces.candidate import Candidate
from search_spaces.ranges import AnyRange, Choice, IntRange
from search_spaces.space import Space

from .record import RUNGS
from .searchers import Shown
from .told import LOSS, candidate_of, flat_of, is_complete, reports

STEP = "report"


class WithSyneTune:
    """One of `syne_tune.optimizer.baselines` that takes a metric over time, by its name."""

    def __init__(self, space: Space, name: str, seed: int) -> None:
        logging.getLogger("syne_tune").setLevel(logging.ERROR)
        self._space, self._trials = space, 0
        self._flat: dict[str, Any] = {}
        self._random = np.random.RandomState(seed).get_state()
        domains = {parameter: _domain(allowed) for parameter, allowed in space.ranges().items()}
        with self._own_randomness():
            self._scheduler = getattr(baselines, name)(
                config_space=domains, metric=LOSS, time_attr=STEP, max_t=RUNGS, random_seed=seed
            )

    def propose(self) -> Candidate:
        """Ask the scheduler."""
        with self._own_randomness():
            suggestion = self._scheduler.suggest()
        assert suggestion is not None
        self._flat = suggestion.config
        return candidate_of(self._space, self._flat)[0]

    def take(self, shown: Shown) -> tuple[float, bool]:
        """Report each rung of what was trained, and stop where the scheduler says so."""
        params = self._space.params_of(shown.candidate)
        assert params is not None
        self._trials += 1
        trained = self._flat | flat_of(self._space, params)
        with self._own_randomness():
            number = self._told(Trial(self._trials, trained, datetime.now(UTC)), shown)
        return number / RUNGS, is_complete(shown, number)

    def _told(self, trial: Trial, shown: Shown) -> int:
        """Return the number of the last report."""
        self._scheduler.on_trial_add(trial)
        for number, value, is_last in reports(shown):
            result = {LOSS: value, STEP: number}
            if self._scheduler.on_trial_result(trial, result) == SchedulerDecision.STOP:
                self._scheduler.on_trial_remove(trial)
                return number
            if is_last:
                self._scheduler.on_trial_complete(trial, result)
        return number

    @contextmanager
    def _own_randomness(self) -> Iterator[None]:
        """Give this search numpy's global generator: Syne Tune draws from it, and searches take turns here."""
        others = np.random.get_state()
        np.random.set_state(self._random)
        try:
            yield
        finally:
            self._random = np.random.get_state()
            np.random.set_state(others)


def _domain(allowed: AnyRange) -> Any:
    if isinstance(allowed, Choice):
        return config_space.choice(list(allowed.choices)) if len(allowed.choices) > 1 else allowed.choices[0]
    if isinstance(allowed, IntRange):
        return config_space.randint(allowed.low, allowed.high)
    if allowed.one_minus:
        return config_space.loguniform(1 - allowed.high, 1 - allowed.low)
    return (config_space.loguniform if allowed.log else config_space.uniform)(allowed.low, allowed.high)
