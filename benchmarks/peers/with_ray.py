"""Ray Tune's side: one driver, two actors that are reused, ASHA over candidates drawn evenly.

ASHA's rungs are powers of its reduction factor. Here they are steps of 3, 6, 9 and 15 epochs in 30 all the same: the
time that a trial reports is the power that belongs to the last rung it has reached, and the reduction factor is
1 / 0.69. Ray's own loggers write their usual files.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import ray
import torch
from ray import tune
from ray.tune.schedulers import ASHAScheduler

from benchmarks.peers.meter import Meter
from benchmarks.peers.search import PRUNER, REPORTS, Search, Trainer
from benchmarks.peers.signs import Signs
from search_spaces.candidate import Candidate

CORES = 2
REDUCTION = 1 / PRUNER.keep
BEFORE = 0.5
"""What a trial reports as its time before the first rung."""
WORST = 1e9
"""What a trial reports as its loss that has diverged; ASHA lets nan pass."""


class Trained(tune.Trainable):
    """A trial: one evaluation a step. The actor, and what it has imported, stays for the next."""

    def setup(self, given: dict[str, Any]) -> None:
        """Get warm; only the first trial of an actor waits here, until both actors are."""
        torch.set_num_threads(1)
        self._search = Search.model_validate_json(given["search"])
        folder = Path(given["folder"])
        self._meter = Meter(folder)
        self._trainer = Trainer(self._search, self._meter)
        self._trainer.warm_up()
        self._meter.mark()
        Signs(folder).ready()
        self._begin(given)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next trial."""
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Train to the next evaluation."""
        evaluation = next(self._evaluations, None)
        if evaluation is None:
            return {"loss": WORST, "reached": self._reached(0), "done": True}
        done = evaluation.step == self._search.horizon_steps
        return {"loss": evaluation.value, "reached": self._reached(evaluation.step), "done": done}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Save nothing: no side resumes here."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Load nothing."""

    def _begin(self, given: dict[str, Any]) -> None:
        candidate = Candidate.model_validate(given["candidate"])
        self._judged = self._search.judged_at(candidate)
        self._evaluations = self._trainer.evaluations(candidate)

    def _reached(self, step: int) -> float:
        """Return ASHA's time: its rung k lies at the k-th power of the reduction factor."""
        passed = [rung for rung in self._judged if rung <= step]
        return REDUCTION ** self._search.rungs.index(passed[-1]) if passed else BEFORE


class Last(tune.Callback):
    """Notes when the driver has heard of the last trial, and counts trials."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self.at = 0.0

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:  # noqa: ARG002
        """Called for pruned trials too."""
        self.at = time.time()
        self._meter.count(trials=1)


def main() -> None:
    """Arguments: the folder of the signs, the search as JSON."""
    folder, search = Path(sys.argv[1]), Search.model_validate_json(sys.argv[2])
    meter = Meter(folder)
    last = Last(meter)
    ray.init(num_cpus=CORES, include_dashboard=False, log_to_driver=False, runtime_env=None)
    candidates = [search.drawn(number).model_dump(mode="json") for number in range(search.trials)]
    rungs = len(PRUNER.rungs)
    asha = ASHAScheduler(
        time_attr="reached", grace_period=1, reduction_factor=REDUCTION, max_t=REDUCTION ** (rungs - 0.1),
        stop_last_trials=False,
    )  # fmt: skip
    tuner = tune.Tuner(
        tune.with_resources(Trained, {"cpu": 1}),
        param_space={
            "candidate": tune.grid_search(candidates), "search": search.model_dump_json(), "folder": str(folder),
        },
        tune_config=tune.TuneConfig(metric="loss", mode="min", scheduler=asha, reuse_actors=True),
        run_config=tune.RunConfig(
            storage_path=str(folder / "results"), verbose=0, callbacks=[last], stop={"training_iteration": REPORTS},
        ),
    )  # fmt: skip
    tuner.fit()
    Signs(folder).done(last.at)
    ray.shutdown()


if __name__ == "__main__":
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    main()
