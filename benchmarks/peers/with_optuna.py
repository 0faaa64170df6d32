"""A process of Optuna's side: `study.optimize` as its documentation shows, on a SQL store or a journal file.

TPE as Étude sets it, 30 reports a trial. The pruner is a `BasePruner` with Étude's rule, since Optuna's own halving
takes whole reduction factors only; it is asked at the rungs alone, which spares Optuna the cost of asking elsewhere.
"""

from __future__ import annotations

import sys
from pathlib import Path

import optuna
import torch
from optuna.pruners import BasePruner
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import MaxTrialsCallback
from optuna.trial import FrozenTrial, TrialState

from benchmarks.peers.meter import Meter
from benchmarks.peers.search import PRUNER, Search, Trainer
from benchmarks.peers.signs import Signs
from search_spaces.candidate import Candidate
from search_spaces.ranges import AnyRange, Choice, IntRange, Scalar
from store.pruning import passes

JOURNAL = "journal:"
STUDY = "peers"


class Halving(BasePruner):
    """Étude's rule at the step that was reported last."""

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Compare with every other trial at that step."""
        step = trial.last_step
        assert step is not None
        seen = study.get_trials(deepcopy=False)
        others = [
            other.intermediate_values[step]
            for other in seen
            if other.number != trial.number and step in other.intermediate_values
        ]
        return not passes(trial.intermediate_values[step], others, PRUNER, "minimize")


def prepare(address: str) -> None:
    """Create the study: two processes that begin at once would both create the tables."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    optuna.create_study(study_name=STUDY, storage=storage_of(address), direction="minimize")


def storage_of(address: str) -> BaseStorage:
    """Return the storage: a database by its URL, or `journal:` with a path."""
    if address.startswith(JOURNAL):
        return JournalStorage(JournalFileBackend(address.removeprefix(JOURNAL)))
    return RDBStorage(address)


def suggest(trial: optuna.Trial, name: str, allowed: AnyRange) -> Scalar:
    """Suggest a parameter from a range."""
    if isinstance(allowed, Choice):
        chosen: Scalar = trial.suggest_categorical(name, tuple(allowed.choices))
        return chosen
    if isinstance(allowed, IntRange):
        return trial.suggest_int(name, allowed.low, allowed.high)
    if allowed.one_minus:
        drawn = 1 - trial.suggest_float(name, 1 - allowed.high, 1 - allowed.low, log=True)
        return min(max(drawn, allowed.low), allowed.high)
    return trial.suggest_float(name, allowed.low, allowed.high, log=allowed.log)


class Objective:
    """What `optimize` calls for each trial."""

    def __init__(self, search: Search, trainer: Trainer, meter: Meter) -> None:
        self._search = search
        self._trainer = trainer
        self._meter = meter

    def __call__(self, trial: optuna.Trial) -> float:
        """Train one trial with a report at each evaluation."""
        candidate, _ = self._search.space.suggest(lambda name, allowed: suggest(trial, name, allowed))
        try:
            return self._train(trial, candidate)
        finally:
            self._meter.count(trials=1)

    def _train(self, trial: optuna.Trial, candidate: Candidate) -> float:
        value, step, rungs = float("nan"), 0, self._search.judged_at(candidate)
        for evaluation in self._trainer.evaluations(candidate):
            value, step = evaluation.value, evaluation.step
            trial.report(value, step)
            if step in rungs and trial.should_prune():
                raise optuna.TrialPruned
        if step < self._search.horizon_steps:
            raise optuna.TrialPruned("diverged")
        return value


def main() -> None:
    """Arguments: the folder of the signs, the search as JSON, which process this is, the storage."""
    folder, search = Path(sys.argv[1]), Search.model_validate_json(sys.argv[2])
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    torch.set_num_threads(1)
    meter, signs = Meter(folder), Signs(folder)
    trainer = Trainer(search, meter)
    trainer.warm_up()
    study = optuna.load_study(
        study_name=STUDY, storage=storage_of(sys.argv[4]), pruner=Halving(),
        sampler=optuna.samplers.TPESampler(constant_liar=True, seed=1000 * search.seed + int(sys.argv[3])),
    )  # fmt: skip
    meter.mark()
    signs.ready()
    enough = MaxTrialsCallback(search.trials, states=(TrialState.COMPLETE, TrialState.PRUNED))
    study.optimize(Objective(search, trainer, meter), callbacks=[enough])
    signs.done()


if __name__ == "__main__":
    main()
