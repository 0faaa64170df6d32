"""Searches that are told what each training would show, and say how much of it they spend.

Étude's is the real one: `next_proposals` of the service and `passes` of the store, in memory. The others are Optuna's
samplers and pruners at their defaults, driven as Optuna's own loop would drive them, with a report at each of 20 rungs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler

from search_spaces.candidate import Candidate
from search_spaces.ranges import Scalar
from search_spaces.space import Space
from search_spaces.study import StudySpec, resolve_study
from search_spaces.work import OfferedHorizon, OfferedTask
from service.opponents import opponents_of
from service.sampling import on_scale, suggested
from service.search import Search, next_proposals
from store.history import DIVERGED
from store.proposals import NewProposal, Past
from store.pruning import passes

from .record import RUNGS, share_of
from .rules import SHARE_OF_AN_AVERAGE


@dataclass(frozen=True)
class Shown:
    """One training as it would go on to its end."""

    candidate: Candidate
    """What was trained: in replay, the recorded one that is nearest to what was proposed."""
    raw: NDArray[np.float32]
    """(20,): nan from where it diverged on."""
    averages: NDArray[np.float32]
    """(2, 19)"""

    @property
    def final(self) -> float:
        """At the horizon."""
        return float(self.raw[-1])

    @property
    def length(self) -> float:
        """The share of the horizon after which it ends: all of it, or where it diverged."""
        return (1 + int(np.argmax(~np.isfinite(self.raw)))) / RUNGS if not math.isfinite(self.final) else 1.0


class Searcher(Protocol):
    """A search, trial by trial."""

    def propose(self) -> Candidate:
        """Return the candidate to train next."""

    def take(self, shown: Shown) -> tuple[float, bool]:
        """Take its training as far as it goes; return the share of a training spent, and whether it was completed."""


# Étude


class Etude:
    """The service's own search with one worker, one trial at a time."""

    def __init__(
        self, space: Space, steps: int, seed: int, budget: int, pruner: dict[str, object], sampler: str = "curves"
    ) -> None:
        said = {"name": "s", "task": {"name": "t"}, "budget": {"trials": budget}, "seed": seed, "pruner": pruner}
        said["sampler"] = {"kind": sampler}
        spec = StudySpec.model_validate(said)
        horizon = OfferedHorizon(epochs=1, steps_per_epoch=steps)
        offer = OfferedTask(name="t", version="1", metric="loss", direction="minimize", horizon=horizon)
        self._steps = steps
        self._search = Search(spec, resolve_study(spec, offer), space, opponents_of(spec, space, sparse=False))
        self._past: list[Past] = []
        self._seen: dict[float, list[float]] = {share: [] for share in spec.pruner.rungs}
        self._new: NewProposal | None = None

    def propose(self) -> Candidate:
        """Return the service's next proposal."""
        (self._new,) = next_proposals(self._search, self._past, 1)
        return self._new.candidate

    def take(self, shown: Shown) -> tuple[float, bool]:
        """Compare it at the rungs as the store does."""
        assert self._new is not None
        new, pruner = self._new, self._search.spec.pruner
        rungs: dict[int, float] = {}
        spared, spent = new.run_on or not new.prunable, shown.length
        is_pruned = False
        for share in pruner.rungs:
            if share >= shown.length and not math.isfinite(shown.final):
                break
            value = self._value(shown, share)
            rungs[share_of(share, self._steps)] = value
            if share_of(share, self._steps) < new.exempt_steps:
                continue
            others = list(self._seen[share])
            self._seen[share].append(value)
            if not spared and not passes(value, others, pruner, "minimize"):
                spent, is_pruned = share, True
                break
        self._past.append(self._ended(new, shown, rungs, is_pruned=is_pruned))
        averaged = SHARE_OF_AN_AVERAGE if pruner.fidelity == "averaged" else 0.0
        surcharge = averaged * min(spent, max(pruner.rungs, default=0.0))
        return spent + surcharge, not is_pruned and math.isfinite(shown.final)

    def _value(self, shown: Shown, share: float) -> float:
        place = round(share * RUNGS) - 1
        raw = float(shown.raw[place])
        if self._search.spec.pruner.fidelity != "averaged":
            return raw
        average = float(shown.averages[0, place])
        return min(raw, average) if math.isfinite(average) else raw

    def _ended(self, new: NewProposal, shown: Shown, rungs: dict[int, float], *, is_pruned: bool) -> Past:
        params = self._search.space.params_of(shown.candidate) or {}
        diverged = not is_pruned and not math.isfinite(shown.final)
        state = "pruned" if is_pruned else "failed" if diverged else "complete"
        return Past(
            seq=new.seq,
            number=new.seq,
            purpose="search",
            origin=new.origin,
            state=state,
            params=params,
            candidate=shown.candidate,
            value=shown.final if state == "complete" else None,
            seed=new.seed,
            rungs=rungs,
            error=DIVERGED if diverged else None,
            horizon_steps=self._steps,
        )


# Optuna


class WithOptuna:
    """A sampler and a pruner of Optuna's."""

    def __init__(self, space: Space, sampler: BaseSampler, pruner: BasePruner, name: str) -> None:
        """Make a study of this name, by which Hyperband assigns brackets."""
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._space, self._ranges = space, space.ranges()
        self._study = optuna.create_study(study_name=name, sampler=sampler, pruner=pruner)
        self._trial: optuna.Trial | None = None
        self._params: dict[str, Scalar] = {}

    def propose(self) -> Candidate:
        """Ask the study."""
        candidate, self._params = self._ask()
        return candidate

    def take(self, shown: Shown) -> tuple[float, bool]:
        """Report each rung, and stop where the pruner says so."""
        params = self._space.params_of(shown.candidate)
        assert params is not None
        if params != self._params:
            self._replace(params)
        trial = self._trial
        assert trial is not None
        for place, value in enumerate(shown.raw.tolist()):
            trial.report(value, place + 1)
            if trial.should_prune():
                self._study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                return (place + 1) / RUNGS, False
        if math.isfinite(shown.final):
            self._study.tell(trial, shown.final)
            return 1.0, True
        self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
        return 1.0, False

    def _ask(self) -> tuple[Candidate, dict[str, Scalar]]:
        self._trial = self._study.ask()
        return self._space.suggest(partial(suggested, self._trial))

    def _replace(self, params: dict[str, Scalar]) -> None:
        """Put what was trained in the place of what was asked: the trial that asked fails, which nobody learns from."""
        assert self._trial is not None
        self._study.tell(self._trial, state=optuna.trial.TrialState.FAIL)
        self._study.enqueue_trial({name: on_scale(self._ranges[name], value) for name, value in params.items()})
        self._ask()


Make = Callable[[Space, int, int, int], Searcher]
"""From a space, a horizon, a seed and a budget in trials to a search."""


def etude(sampler: str = "curves", **pruner: object) -> Make:
    """Return a maker of Étude's search with this sampler and these settings of its pruner."""
    return lambda space, steps, seed, budget: Etude(space, steps, seed, budget, dict(pruner), sampler)


def with_optuna(sampler: Callable[..., BaseSampler], pruner: Callable[[], BasePruner]) -> Make:
    """Return a maker of a search by Optuna's parts."""
    return lambda space, _steps, seed, _budget: WithOptuna(space, sampler(seed=seed), pruner(), str(seed))


SEARCHERS: dict[str, Make] = {
    "TPE + MedianPruner": with_optuna(TPESampler, MedianPruner),
    "Étude": etude(),
    "Étude, truncated": etude(fidelity="truncated"),
    "Étude, keep 0.5": etude(keep=0.5),
    "Étude, no pruning": etude(kind="none"),
    "Étude, TPE": etude("tpe"),
    "Étude, TPE, truncated": etude("tpe", fidelity="truncated"),
    "Étude, TPE, keep 0.5": etude("tpe", keep=0.5),
    "Étude, TPE, median": etude("tpe", kind="median"),
    "Étude, TPE, no pruning": etude("tpe", kind="none"),
    "random": with_optuna(RandomSampler, NopPruner),
    "TPE": with_optuna(TPESampler, NopPruner),
    "ASHA": with_optuna(RandomSampler, SuccessiveHalvingPruner),
    "Hyperband": with_optuna(RandomSampler, partial(HyperbandPruner, max_resource=RUNGS)),
    "BOHB-like": with_optuna(TPESampler, partial(HyperbandPruner, max_resource=RUNGS)),
}
"""Optuna's default first. ASHA is Optuna's asynchronous successive halving on random candidates, BOHB-like TPE with
Hyperband."""
