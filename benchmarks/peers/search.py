"""The search that every side makes: its space, its rungs, and the training of one candidate, which is the same code."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterator
from functools import cached_property

from benchmarks.peers.meter import Meter
from search_spaces.candidate import Candidate
from search_spaces.model import Model
from search_spaces.ranges import AnyRange, Choice, IntRange, Scalar
from search_spaces.schedules import rise_steps
from search_spaces.space import Space, resolve_space
from search_spaces.steps import whole_steps
from search_spaces.study import PrunerSpec, SpaceSpec
from workers.engine import Evaluation
from workers.tasks.digits import DigitsMlp
from workers.training import Diverged, Training

SPACE = SpaceSpec(
    optimizers=["sgd", "adam", "adamw"],
    schedules=["constant", "step", "linear", "cosine", "exponential", "wsd", "one_cycle"],
    warmup=False,
    restarts=False,
)
PRUNER = PrunerSpec(run_on=0)
REPORTS = 30
"""Evaluations of a trial that is not pruned."""


class Search(Model):
    """What is searched, told to every process of a side."""

    trials: int
    stretch: int = 1
    """Times 30 epochs: the length of a training, which has 30 evaluations whatever its length."""
    seed: int = 0
    """Of the sampler, the initial weights and the order of the data."""
    longest: float | None = None
    """Seconds after which the search is cut off: what was trained until then is counted."""

    def is_cut(self, submitted: float) -> bool:
        """Tell whether a search that was submitted then, in seconds since the epoch, has had its time."""
        return self.longest is not None and time.time() - submitted >= self.longest

    @property
    def horizon_steps(self) -> int:
        """Updates of one full training."""
        return REPORTS * self.stretch * DigitsMlp.steps_per_epoch

    @property
    def rungs(self) -> list[int]:
        """Steps at which trials are compared."""
        return [whole_steps(fraction, self.horizon_steps) for fraction in PRUNER.rungs]

    @cached_property
    def space(self) -> Space:
        """The space, resolved as the service does."""
        return resolve_space(SPACE, self.trials)

    @cached_property
    def task_kind(self) -> type[DigitsMlp]:
        """The task: digits-mlp, evaluated less often where it is trained longer."""
        if self.stretch == 1:
            return DigitsMlp
        facts = {
            "name": f"{DigitsMlp.name}-{self.stretch}",
            "evaluation_steps": self.stretch * DigitsMlp.steps_per_epoch,
            "epochs": REPORTS * self.stretch,
        }
        return type("LongDigitsMlp", (DigitsMlp,), facts)

    def judged_at(self, candidate: Candidate) -> list[int]:
        """Return the rungs at which a candidate is judged: those inside its own rise are passed by."""
        exempt = rise_steps(candidate.schedule, self.horizon_steps)
        return [rung for rung in self.rungs if rung >= exempt]

    def drawn(self, number: int) -> Candidate:
        """Draw candidate `number` of an even search."""
        source = random.Random(f"{self.seed}-{number}")
        return self.space.suggest(lambda _, allowed: evenly(source, allowed))[0]


def evenly(source: random.Random, allowed: AnyRange) -> Scalar:
    """Draw from a range, evenly on its scale."""
    if isinstance(allowed, Choice):
        return source.choice(allowed.choices)
    if isinstance(allowed, IntRange):
        return source.randint(allowed.low, allowed.high)
    if allowed.one_minus:
        return min(max(1 - _log_evenly(source, 1 - allowed.high, 1 - allowed.low), allowed.low), allowed.high)
    if allowed.log:
        return _log_evenly(source, allowed.low, allowed.high)
    return source.uniform(allowed.low, allowed.high)


def _log_evenly(source: random.Random, low: float, high: float) -> float:
    drawn = low * math.exp(math.log(high / low) * source.random())
    return min(max(drawn, low), high)


class Trainer:
    """Trains candidates one after another, as a worker does that does not pack, and meters it."""

    def __init__(self, search: Search, meter: Meter) -> None:
        self._search = search
        self._meter = meter
        self._task = search.task_kind()

    def warm_up(self) -> None:
        """Train a little, so that everything is imported and compiled; it is not counted."""
        training = self._training(self._search.drawn(-1))
        looks = iter(range(100))
        list(training.evaluations(lambda: next(looks, None) is None))

    def evaluations(self, candidate: Candidate) -> Iterator[Evaluation]:
        """Train to the horizon, evaluation by evaluation; a training that diverges ends early."""
        with self._meter.training():
            training = self._training(candidate)
            evaluations = training.evaluations(lambda: False)
        while not training.finished:
            before = training.updates
            with self._meter.training():
                evaluation = self._next(evaluations)
            self._meter.count(updates=training.updates - before)
            if evaluation is None:
                return
            if training.finished:
                self._meter.saw(evaluation.value)
            yield evaluation

    def _next(self, evaluations: Iterator[Evaluation]) -> Evaluation | None:
        try:
            return next(evaluations)
        except Diverged:
            return None

    def _training(self, candidate: Candidate) -> Training:
        return Training(
            self._task, candidate, horizon_steps=self._search.horizon_steps, seed=self._search.seed,
            rungs=tuple(self._search.rungs),
        )  # fmt: skip
