"""Running averages of a trial's weights: what its rungs are judged by where the study compares `averaged`.

An average over the last part of a run imitates what a decay of the LR would do to it, so a schedule that has not come
down yet is judged by what it is about to be. One exponential average, over about 3 % of the horizon; the better of it
and of the raw weights counts. A longer one, over 10 %, judges better on no task measured, and far worse where the best
schedules come down early (docs/pruning.md).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from search_spaces.work import ClaimedTrial

from .engine import TrainingState
from .resuming import StateDoesNotFit

SHARES = (0.03,)
"""Time constants of the averages, in horizons."""
MOVES = 500
"""Times that an average moves over a horizon, at most: more often costs more and changes nothing that is seen."""


@dataclass(frozen=True)
class Pace:
    """When a trial's averages move, and how far; the same in a pack and alone."""

    horizon_steps: int
    last: int
    """The last rung: nobody asks for an average after it."""
    shares: tuple[float, ...] = SHARES
    """Time constants of the averages, in horizons."""

    @property
    def stride(self) -> int:
        """Updates between two moves."""
        return max(1, self.horizon_steps // MOVES)

    @property
    def decays(self) -> tuple[float, ...]:
        """What each average keeps of itself at a move."""
        return tuple(math.exp(-self.stride / (share * self.horizon_steps)) for share in self.shares)

    def is_due(self, step: int) -> bool:
        """Tell whether the averages move after update `step` (the first is 1)."""
        return step <= self.last and step % self.stride == 0

    def scales(self, step: int) -> tuple[float, ...]:
        """Return what makes means of averages that have begun at 0; () before their first move."""
        moves = min(step, self.last) // self.stride
        return tuple(1 / (1 - decay**moves) for decay in self.decays) if moves else ()


def best_of(values: Sequence[float], direction: str) -> float | None:
    """Return the best of the averages' metrics; None where there is none that is a number."""
    finite = [value for value in values if math.isfinite(value)]
    return (min if direction == "minimize" else max)(finite, default=None)


def pace_of(claimed: ClaimedTrial, shares: tuple[float, ...] = SHARES) -> Pace | None:
    """Return the pace of a trial's averages; None where it is compared by raw values, or nowhere."""
    rungs = [rung for rung in claimed.rungs if 0 < rung < claimed.horizon_steps]
    if claimed.fidelity != "averaged" or not rungs:
        return None
    return Pace(claimed.horizon_steps, max(rungs), shares)


class Averages:
    """The averages of one model in training by itself."""

    def __init__(self, model: nn.Module, pace: Pace, start: Sequence[Mapping[str, Any]] | None = None) -> None:
        """Begin at 0, or at what `state` gave.

        Raises:
            StateDoesNotFit: `start` is another model's.
        """
        self._pace = pace
        self._own = averaged_tensors(model)
        self._kept = [{name: torch.zeros_like(value) for name, value in self._own.items()} for _ in pace.shares]
        if start is not None:
            self._load(start)

    def follow(self, step: int) -> None:
        """Move, where it is time, after update `step`."""
        if not self._pace.is_due(step):
            return
        current = [value.detach() for value in self._own.values()]
        for kept, decay in zip(self._kept, self._pace.decays, strict=True):
            torch._foreach_lerp_(list(kept.values()), current, 1 - decay)

    def judged(self, step: int, measure: Callable[[], float]) -> list[float]:
        """Return what `measure` gives with each average in the model after update `step`; then it is as it was."""
        before = {name: value.detach().clone() for name, value in self._own.items()}
        found = []
        try:
            for kept, scale in zip(self._kept, self._pace.scales(step), strict=False):
                _write(self._own, {name: value * scale for name, value in kept.items()})
                found.append(measure())
        finally:
            _write(self._own, before)
        return found

    def state(self) -> list[dict[str, Any]]:
        """Return a copy on the CPU."""
        return [{name: value.to("cpu", copy=True) for name, value in kept.items()} for kept in self._kept]

    def _load(self, start: Sequence[Mapping[str, Any]]) -> None:
        check_averages(self._own, start, len(self._pace.shares))
        for kept, saved in zip(self._kept, start, strict=True):
            _write(kept, saved)


def averages_of(start: TrainingState | None) -> Sequence[Mapping[str, Any]] | None:
    """Return the averages in a state to go on from; None where the trial begins.

    Raises:
        StateDoesNotFit: the state was taken without any.
    """
    if start is None or start["step"] == 0:
        return None
    if "averages" not in start:
        raise StateDoesNotFit("the state was taken without averages of the weights")
    return start["averages"]


def averaged_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Return what is averaged of a model: parameters, and buffers that are numbers with fractions, by name."""
    buffers = {name: buffer for name, buffer in model.named_buffers() if buffer.is_floating_point()}
    return {**dict(model.named_parameters()), **buffers}


def check_averages(own: Mapping[str, Tensor], saved: Sequence[Mapping[str, Any]], count: int) -> None:
    """Refuse what is not `count` averages of these tensors.

    Raises:
        StateDoesNotFit: a name, a shape or a type differs, or there are more or fewer averages.
    """
    if len(saved) != count:
        raise StateDoesNotFit(f"the state has {len(saved)} averages, not {count}")
    for average in saved:
        if average.keys() != own.keys():
            raise StateDoesNotFit(f"averages are missing or too many: {', '.join(sorted(average.keys() ^ own.keys()))}")
        for name, value in average.items():
            if value.shape != own[name].shape or value.dtype != own[name].dtype:
                raise StateDoesNotFit(f"the average of {name} is {tuple(value.shape)} {value.dtype}")


def _write(targets: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    with torch.no_grad():
        for name, target in targets.items():
            target.copy_(values[name])
