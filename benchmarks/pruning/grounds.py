"""What a search trains on: recorded candidates, or the noisy quadratic itself."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from search_spaces.candidate import Candidate
from search_spaces.ranges import Choice, Scalar
from search_spaces.space import Space
from service.features import place_in

from .pools import BUDGET, GROUNDS, quadratic_space, space
from .quadratic import REGIMES, curves
from .record import DIRECTORY, SEEDS, Recording, rungs_of
from .recorded import Recorded, recorded
from .rules import known
from .searchers import Shown

WEIGHT_OF_LR = 4.0
"""Of the learning rate's distance, when the nearest recorded candidate is looked for: the rate decides most."""
ELSEWHERE = 100.0
"""Distance to a candidate of another kind of schedule: taken once none of the same kind is left."""


class Place(Protocol):
    """A task to search on."""

    space: Space
    steps: int

    def shown(self, candidates: Sequence[Candidate], used: Sequence[set[int]]) -> list[Shown]:
        """Return each candidate's training; `used` are, search by search, the recorded ones that it has had."""

    def regret(self, shown: Shown) -> float:
        """Return how much worse than the best known a candidate is, judged on a seed that did not choose it."""


class Bowl:
    """A regime of the noisy quadratic: every candidate is trained in a blink, exactly."""

    def __init__(self, task: str, budget: int = BUDGET) -> None:
        """Take the space of a study of so many trials."""
        regime = REGIMES[task]
        self.space, self.steps = quadratic_space(budget), regime.steps
        self._task = task
        self._optimum = float(regime.problem.losses(regime.problem.optimal(regime.steps))[-1])

    def shown(self, candidates: Sequence[Candidate], used: Sequence[set[int]]) -> list[Shown]:  # noqa: ARG002
        """Compute the expected losses."""
        found = curves(candidates, self._task, rest=False)
        rows = zip(candidates, found["raw"], found["averages"], strict=True)
        return [Shown(candidate, raw, averages) for candidate, raw, averages in rows]

    def regret(self, shown: Shown) -> float:
        """Return the expected loss over that of the computed optimal schedule, less 1."""
        return shown.final / self._optimum - 1


class Table:
    """What is recorded of a task: a proposal becomes the nearest candidate that this search has not had yet."""

    def __init__(self, task: str) -> None:
        pools = [pool for name in ("openings", "wide", "narrow") if (pool := recorded(task, name)) is not None]
        self.space, self.steps = space(), pools[0].steps
        self._ranges = self.space.ranges()
        every = [(one, self.space.params_of(one)) for pool in pools for one in pool.candidates]
        # The narrow pool's learning rates may go beyond what is searched.
        inside = np.flatnonzero([params is not None for _, params in every])
        self._candidates = [every[i][0] for i in inside]
        self._params = [every[i][1] or {} for i in inside]
        self._raw, self._averages = _joined(pools, "raw")[inside], _joined(pools, "averages")[inside]
        self._fresh = known(_joined(pools, "fresh")[inside, -1])
        self.best = float(((known(self._raw[:, -1]) + self._fresh) / 2).min())
        self._names = list(self._ranges)
        self._coordinates = np.array([self._placed(params) for params in self._params])
        self._places = {one.model_dump_json(): i for i, one in enumerate(self._candidates)}

    def __len__(self) -> int:
        return len(self._candidates)

    def shown(self, candidates: Sequence[Candidate], used: Sequence[set[int]]) -> list[Shown]:
        """Look the nearest up."""
        found = []
        for candidate, had in zip(candidates, used, strict=True):
            place = self._nearest(candidate, had)
            had.add(place)
            found.append(Shown(self._candidates[place], self._raw[place], self._averages[place]))
        return found

    def regret(self, shown: Shown) -> float:
        """Return the metric on the second seed less the best of the table, on the mean of both seeds."""
        return float(self._fresh[self._places[shown.candidate.model_dump_json()]]) - self.best

    def _nearest(self, candidate: Candidate, had: set[int]) -> int:
        own = self._placed(self.space.params_of(candidate) or {})
        apart = np.abs(self._coordinates - own)
        # A parameter that only one of the two has says nothing beyond that they are of different kinds.
        distances = np.nansum(apart, axis=1)
        distances[list(had)] = math.inf
        return int(np.argmin(distances))

    def _placed(self, params: Mapping[str, Scalar]) -> NDArray[np.float64]:
        """Return coordinates, nan where a parameter is not there."""
        places = []
        for name in self._names:
            allowed = self._ranges[name]
            if name in ("optimizer", "schedule"):
                assert isinstance(allowed, Choice)
                places += [ELSEWHERE / 2 * (params.get(name) == choice) for choice in allowed.choices]
            else:
                places.append(place_in(allowed, params[name]) * _weight(name) if name in params else math.nan)
        return np.array(places, dtype=np.float64)


class Live:
    """A task of `GROUNDS`, on which every proposal is trained, on both seeds."""

    def __init__(self, task: str) -> None:
        import torch

        from workers.tasks import named

        torch.set_num_threads(1)
        ground = GROUNDS[task]
        self.space, self.steps = space(), ground.steps
        self._recording = Recording(ground, named([task])[task](), DIRECTORY / "live.jsonl")
        self._fresh: dict[str, float] = {}
        """Finals on the second seed."""
        self._best = Table(task).best

    def shown(self, candidates: Sequence[Candidate], used: Sequence[set[int]]) -> list[Shown]:  # noqa: ARG002
        """Train them together."""
        rungs = rungs_of(self.steps)
        first, second = (self._recording.trained(candidates, seed, self.steps) for seed in SEEDS)
        found = []
        for candidate, own, fresh in zip(candidates, first, second, strict=True):
            row = {name: np.array(values, dtype=np.float32) for name, values in own.row(rungs).items()}
            self._fresh[candidate.model_dump_json()] = fresh.raw.get(self.steps, math.inf)
            found.append(Shown(candidate, row["raw"], row["averages"]))
        return found

    def regret(self, shown: Shown) -> float:
        """Return the metric on the second seed less the best of the table, on the mean of both seeds."""
        return self._fresh[shown.candidate.model_dump_json()] - self._best


def _joined(pools: Sequence[Recorded], name: str) -> NDArray[np.float32]:
    return np.concatenate([getattr(pool, name) for pool in pools])


def _weight(name: str) -> float:
    return WEIGHT_OF_LR if name.endswith(".lr") else 1.0


LIVE = ", live"
"""After a task's name: trained, not looked up."""
LARGE, LARGE_BUDGET = ", large", 100
"""After the name of a noisy quadratic: the space of a study of 100 trials, with 14 kinds of schedules and not 8."""


def place_of(task: str) -> Place:
    """Return where a search on a task takes place."""
    if task.endswith(LIVE):
        return Live(task.removesuffix(LIVE))
    if task.endswith(LARGE):
        return Bowl(task.removesuffix(LARGE), LARGE_BUDGET)
    return Bowl(task) if task in REGIMES else Table(task)
