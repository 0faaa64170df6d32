"""Ray Tune's own objects for a search, without a cluster: a search algorithm and its asynchronous HyperBand (ASHA).

They are called in the order in which Ray's controller (`ray.tune.execution.tune_controller`) calls them for one trial
at a time, with a report at each of 20 rungs; `max_t` is 20, everything else as it is by default (a first rung at the
first report, a reduction factor of 4, one bracket). A trial that the scheduler stops is told to the search as completed
with its last loss: that is what Ray does.

`drawn` is Ray's default: every parameter of a flat space drawn evenly, of which a candidate uses those that apply. Its
OptunaSearch takes a function that asks for one parameter after another, so it knows which parameters belong together.
Ray's synchronous HyperBand and its BOHB pause trials until others have come as far, so that they cannot be replayed one
trial at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import optuna
from optuna.storages import InMemoryStorage
from ray import tune
from ray.tune.schedulers import ASHAScheduler, TrialScheduler
from ray.tune.search.optuna import OptunaSearch
from ray.tune.search.variant_generator import generate_variants

from search_spaces.candidate import Candidate
from search_spaces.ranges import AnyRange, Choice, IntRange, Scalar
from search_spaces.space import Space
from service.sampling import suggested

from .record import RUNGS
from .searchers import Shown
from .told import LOSS, candidate_of, flat_of, is_complete, reports

STEP = "training_iteration"


@dataclass(frozen=True)
class Named:
    """What ASHA reads of a trial."""

    trial_id: str


class Search(Protocol):
    """What is asked of a search algorithm."""

    def suggest(self, trial_id: str) -> Mapping[str, Any]:
        """Return a trial's flat parameters."""

    def swap(self, trial_id: str, other_id: str, flat: Mapping[str, Any]) -> None:
        """Forget a trial, and learn of another with these parameters instead."""

    def on_trial_result(self, trial_id: str, result: Mapping[str, Any]) -> None:
        """Take a report."""

    def on_trial_complete(self, trial_id: str, result: Mapping[str, Any]) -> None:
        """Take the last report."""


class Drawn:
    """Ray's variants of a flat space: what it does where no search algorithm is named. It learns nothing."""

    def __init__(self, space: Space, seed: int) -> None:
        self._domains = {name: _domain(allowed) for name, allowed in space.ranges().items()}
        self._random = np.random.RandomState(seed)

    def suggest(self, trial_id: str) -> Mapping[str, Any]:  # noqa: ARG002
        """Draw every parameter."""
        _, spec = next(generate_variants(self._domains, random_state=self._random))
        return spec

    def swap(self, trial_id: str, other_id: str, flat: Mapping[str, Any]) -> None:
        """Learn nothing."""

    def on_trial_result(self, trial_id: str, result: Mapping[str, Any]) -> None:
        """Learn nothing."""

    def on_trial_complete(self, trial_id: str, result: Mapping[str, Any]) -> None:
        """Learn nothing."""


class Guided(OptunaSearch):
    """Ray's OptunaSearch with its own sampler, on a storage that can be reached from outside."""

    def __init__(self, space: Space, seed: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        kept = InMemoryStorage()
        super().__init__(partial(_asked, space), metric=LOSS, mode="min", seed=seed, storage=kept, study_name="s")
        self._reached = optuna.load_study(study_name="s", storage=kept)

    def trials(self) -> list[optuna.trial.FrozenTrial]:
        """Return what it has learned of."""
        return self._reached.get_trials()

    def swap(self, trial_id: str, other_id: str, flat: Mapping[str, Any]) -> None:
        """Let the trial that asked fail, which nobody learns from, and ask for what was trained."""
        self.on_trial_complete(trial_id, error=True)
        self._reached.enqueue_trial(dict(flat))
        self.suggest(other_id)


class WithRay:
    """A search algorithm of Ray's with ASHA."""

    def __init__(self, space: Space, search: Search) -> None:
        self._space, self._search = space, search
        self._scheduler = ASHAScheduler(metric=LOSS, mode="min", max_t=RUNGS)
        self._trials = 0
        self._params: dict[str, Scalar] = {}

    def propose(self) -> Candidate:
        """Ask the search algorithm."""
        self._trials += 1
        candidate, self._params = candidate_of(self._space, self._search.suggest(str(self._trials)))
        return candidate

    def take(self, shown: Shown) -> tuple[float, bool]:
        """Report each rung, and stop where the scheduler says so."""
        params = self._space.params_of(shown.candidate)
        assert params is not None
        if params != self._params:
            self._trials += 1
            self._search.swap(str(self._trials - 1), str(self._trials), flat_of(self._space, params))
        trial = Named(str(self._trials))
        self._scheduler.on_trial_add(None, trial)
        for number, value, is_last in reports(shown):
            result = {LOSS: value, STEP: number}
            decision = self._scheduler.on_trial_result(None, trial, result)
            if is_last or decision == TrialScheduler.STOP:
                break
            self._search.on_trial_result(trial.trial_id, result)
        self._scheduler.on_trial_complete(None, trial, result)
        self._search.on_trial_complete(trial.trial_id, result)
        return number / RUNGS, is_complete(shown, number)


def _asked(space: Space, trial: optuna.Trial) -> None:
    """Ask for the parameters of a point, as Ray's users write such a function: what was asked is captured."""
    space.suggest(partial(suggested, trial))


def _domain(allowed: AnyRange) -> Any:
    if isinstance(allowed, Choice):
        return tune.choice(list(allowed.choices))
    if isinstance(allowed, IntRange):
        return tune.randint(allowed.low, allowed.high + 1)
    if allowed.one_minus:
        return tune.loguniform(1 - allowed.high, 1 - allowed.low)
    return (tune.loguniform if allowed.log else tune.uniform)(allowed.low, allowed.high)
