"""Packed training beside each trial alone: what promise 4 is checked with, in `make test` and in `make soak`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

import torch

from search_spaces.candidate import Candidate
from search_spaces.work import ClaimedTask, ClaimedTrial
from workers.engine import Attempt, Engine, TrainingState
from workers.packing.pack import Pack
from workers.packing.ways import Way
from workers.tasks.digits import DigitsMlp
from workers.training import Training

LRS = {
    "sgd": 0.05, "adagrad": 0.01, "rmsprop": 1e-3, "adam": 2e-3, "amsgrad": 2e-3, "adamw": 2e-3, "nadam": 2e-3,
    "nadamw": 2e-3, "radam": 2e-3, "adamax": 2e-3, "adadelta": 0.5, "lion": 2e-4,
}  # fmt: skip
"""Every vectorised optimizer at an LR at which digits-mlp trains and is not chaotic."""
SCHEDULES: Sequence[dict[str, Any]] = (
    {"kind": "cosine", "warmup": {"fraction": 0.1}},
    {"kind": "step", "step_size": 0.3, "gamma": 0.3},
    {"kind": "plateau", "factor": 0.5, "patience": 0.05},
)


class DoubleDigits(DigitsMlp):
    """digits-mlp in float64."""

    name = "digits-mlp-double"
    precision: ClassVar[Any] = "float64"

    def model(self, seed: int) -> torch.nn.Module:
        return super().model(seed).double()

    def epoch(self, epoch: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        images, labels = super().epoch(epoch, seed)
        return images.double(), labels

    def examples(self, split: Any) -> Any:
        return [(images.double(), labels) for images, labels in super().examples(split)]


def attempts(steps: int, *, kinds: Sequence[str] = tuple(LRS), seed: int = 0) -> list[Attempt]:
    """Return a trial for each kind of optimizer, with the schedules in turn."""
    made = []
    for number, kind in enumerate(kinds):
        candidate = {
            "optimizer": {"kind": kind, **({"weight_decay": 1e-3} if number % 2 else {})},
            "initial_lr": LRS[kind],
            "schedule": SCHEDULES[number % len(SCHEDULES)],
        }
        made.append(attempt(number, Candidate.model_validate(candidate), steps, seed))
    return made


def attempt(number: int, candidate: Candidate, steps: int, seed: int = 0) -> Attempt:
    """Return a trial as it is claimed."""
    claimed = ClaimedTrial(
        study="s",
        number=number,
        lease="l",
        lease_expires_at=datetime.now(UTC),
        candidate=candidate,
        task=ClaimedTask(name="digits-mlp", version="1"),
        horizon_steps=steps,
        rungs=[],
        seed=seed,
        purpose="search",
    )
    return Attempt(claimed)


def updates(engine: Engine, count: int) -> None:
    """Make `count` updates of every trial in an engine."""
    done = 0

    def interrupted() -> bool:
        nonlocal done
        done += 1
        return done > count

    while done <= count and engine.attempts:
        engine.advance(interrupted)


def one_update_apart(
    task: DigitsMlp, trials: Sequence[Attempt], *, steps: int, every: int, way: Way
) -> Iterator[float]:
    """Train a pack, and make every so many updates one of each trial alone, from the same state.

    Yields the relative difference of parameters after it, in the norm of each parameter's update and value.
    """
    pack = Pack(task, len(trials), way)
    for one in trials:
        pack.enter(one)
    updates(pack, 1)
    for _ in range(1, steps - 1, every):
        before = [_state(pack, one) for one in trials]
        updates(pack, 1)
        for one, start in zip(trials, before, strict=True):
            alone = _updated(task, one, start)
            packed = _state(pack, one)
            assert _lrs(task, one, packed) == _lrs(task, one, alone)
            for name, value in alone["model"].items():
                scale = value.norm()
                yield float((packed["model"][name] - value).norm() / scale)
        updates(pack, every - 1)


def _lrs(task: DigitsMlp, one: Attempt, state: TrainingState) -> list[Any]:
    """Return the LRs that are in force after a state."""
    return _training(task, one, state).scheduler.get_last_lr()


def _state(pack: Pack, one: Attempt) -> TrainingState:
    state = pack.state(one)
    assert state is not None
    return state


def _updated(task: DigitsMlp, one: Attempt, start: TrainingState) -> TrainingState:
    training = _training(task, one, start)
    looks = iter([False, True])
    next(training.evaluations(lambda: next(looks)), None)
    return training.state()


def _training(task: DigitsMlp, one: Attempt, start: TrainingState) -> Training:
    claimed = one.claimed
    return Training(task, claimed.candidate, horizon_steps=claimed.horizon_steps, seed=claimed.seed, start=start)
