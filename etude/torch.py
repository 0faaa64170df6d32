"""The one place that turns a candidate into a torch optimizer and scheduler; so the answer is what was trained.

optimizer, scheduler = build(answer, model.parameters(), total_steps=10_000)
for batch in batches:
    loss(model, batch).backward()
    optimizer.step()
    scheduler.step()  # once an update
    optimizer.zero_grad()
with evaluating(optimizer):
    measure(model)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from search_spaces.candidate import Candidate
from search_spaces.model import problem_from_validation
from search_spaces.problems import InvalidSpec, Unsupported
from search_spaces.schedules import AnySchedule, Plateau, check_horizon, curve

from .torch_muon import Groups
from .torch_optimizers import BUILDERS

Direction = Literal["minimize", "maximize"]


class ScheduledLR(LRScheduler):
    """Sets every group's LR to its initial LR times the schedule's factor; `step()` once an update.

    After update T - 1 it holds the last LR; a step beyond T is a ValueError, as with torch's OneCycleLR.
    """

    def __init__(self, optimizer: Optimizer, total_steps: int) -> None:
        self.total_steps = total_steps
        super().__init__(optimizer)

    def factor(self) -> float:
        """Return the factor on the initial LR that is in force for the next update."""
        raise NotImplementedError

    def observe(self, metric: float) -> None:
        """Take the metric of an evaluation; only a schedule that follows the metric does something with it."""

    def get_lr(self) -> list[float | Tensor]:
        """Return the LR of every group for the next update."""
        factor = self.factor()
        return [base * factor for base in self.base_lrs]

    def step(self, epoch: int | None = None) -> None:
        """Go on to the next update.

        Raises:
            ValueError: all T updates are made, or an `epoch` is given.
        """
        if epoch is not None:
            raise ValueError("the scheduler counts updates by itself: call step() without an argument")
        if self.last_epoch >= self.total_steps:
            raise ValueError(f"the schedule ends after {self.total_steps} updates: build it for a longer horizon")
        super().step()

    def ahead(self, count: int) -> NDArray[np.float64]:
        """Return the LRs of the next `count` updates, if no metric is observed before: (count, groups) float64."""
        return np.outer(self.factors(count), np.array(self.base_lrs, dtype=np.float64))

    def factors(self, count: int) -> NDArray[np.float64]:
        """Return the factors on the initial LR of the next `count` updates: (count,) float64."""
        raise NotImplementedError

    def skip(self, count: int) -> None:
        """Go on by `count` updates at once, as so many calls of `step` would.

        Raises:
            ValueError: they lead beyond T.
        """
        if self.last_epoch + count > self.total_steps:
            raise ValueError(f"the schedule ends after {self.total_steps} updates: build it for a longer horizon")
        self.last_epoch += count
        self._set_lr()

    def state_dict(self) -> dict[str, Any]:
        """Return what is needed to go on: plain numbers, safe to save and to load."""
        return {"total_steps": self.total_steps, "step": self.last_epoch, "base_lrs": list(self.base_lrs)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state of a scheduler that was built alike; sets the LRs at once.

        Raises:
            ValueError: the state belongs to another horizon or to other initial LRs.
        """
        own = {"total_steps": self.total_steps, "base_lrs": list(self.base_lrs)}
        for name, value in own.items():
            if state_dict[name] != value:
                raise ValueError(f"the state has {name} {state_dict[name]}, this scheduler {value}")
        self.last_epoch = state_dict["step"]
        # torch warns at the first step after construction if no update came before it; here they came before.
        self._step_count = self.last_epoch + 1
        self._set_lr()

    def _set_lr(self) -> None:
        for group, lr in zip(self.optimizer.param_groups, self.get_lr(), strict=True):
            group["lr"] = lr
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]


class CurveLR(ScheduledLR):
    """A schedule that is a function of the step alone; its curve is computed once."""

    def __init__(self, optimizer: Optimizer, schedule: AnySchedule, total_steps: int) -> None:
        self._factors: list[float] = curve(schedule, total_steps).tolist()
        super().__init__(optimizer, total_steps)

    def factor(self) -> float:
        """Return f(t), held after the end."""
        return self._factors[min(self.last_epoch, self.total_steps - 1)]

    def factors(self, count: int) -> NDArray[np.float64]:
        """Return f(t), f(t + 1), ...: (count,) float64."""
        return np.array(self._factors[self.last_epoch : self.last_epoch + count])


class PlateauLR(ScheduledLR):
    """A schedule that drops when the metric stops improving: call `observe(metric)` at every evaluation."""

    def __init__(
        self, optimizer: Optimizer, schedule: Plateau, total_steps: int, evaluations: int, direction: Direction
    ) -> None:
        self._rule = schedule.rule(evaluations, direction)
        steps = np.arange(total_steps, dtype=np.int64)
        self._warmup: list[float] = schedule.warmup_factors(steps, total_steps).tolist()
        super().__init__(optimizer, total_steps)

    def factor(self) -> float:
        """Return the rule's factor, times the warm-up's."""
        return self._rule.factor * self._warmup[min(self.last_epoch, self.total_steps - 1)]

    def factors(self, count: int) -> NDArray[np.float64]:
        """Return the rule's factor as it is now, times the warm-up's: (count,) float64."""
        return self._rule.factor * np.array(self._warmup[self.last_epoch : self.last_epoch + count])

    def observe(self, metric: float) -> None:
        """Feed an evaluation's metric; the next update's LR follows it."""
        self._rule.feed(metric)
        self._set_lr()

    def state_dict(self) -> dict[str, Any]:
        """Return what is needed to go on, with what the rule has seen."""
        return super().state_dict() | {"rule": self._rule.state()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state; see `ScheduledLR.load_state_dict`."""
        self._rule.load(state_dict["rule"])
        super().load_state_dict(state_dict)


def build(
    candidate: Candidate | Mapping[str, Any] | Any,
    params: Iterable[Tensor] | Iterable[dict[str, Any]],
    total_steps: int,
    *,
    evaluations: int | None = None,
    direction: Direction = "minimize",
) -> tuple[Optimizer, ScheduledLR]:
    """Return the optimizer and the scheduler of a candidate; call both `step`s once an update.

    Args:
        candidate: a candidate, its JSON, or an answer that holds one.
        params: tensors, or parameter groups as torch takes them; a group's `name` picks its LR ratio.
        total_steps: T, the updates of the whole training.
        evaluations: how often `scheduler.observe(metric)` will be called; `plateau` needs it.
        direction: whether a smaller or a larger metric is better; `plateau` needs it.

    Raises:
        InvalidSpec: the candidate, the groups or the missing `evaluations` are wrong; the field is named.
        HorizonTooShort: the schedule does not fit into `total_steps`.
        Unsupported: the optimizer cannot be built, or needs a package that is not installed.
    """
    candidate = read_candidate(candidate)
    groups = _groups(candidate, params)
    builder = BUILDERS.get(candidate.optimizer.kind)
    if builder is None:
        raise Unsupported(f"{candidate.optimizer.kind} cannot be built for torch", field="optimizer.kind")
    check_horizon(candidate.schedule, total_steps)
    optimizer = builder(candidate.optimizer, groups)
    schedule = candidate.schedule
    if not isinstance(schedule, Plateau):
        return optimizer, CurveLR(optimizer, schedule, total_steps)
    if evaluations is None:
        raise InvalidSpec("plateau needs the number of evaluations in the horizon", field="evaluations")
    return optimizer, PlateauLR(optimizer, schedule, total_steps, evaluations, direction)


@contextmanager
def evaluating(optimizer: Optimizer) -> Iterator[None]:
    """Evaluate (and save the model) inside it: a Schedule-Free optimizer shows its average of the weights there.

    With any other optimizer it does nothing.
    """
    if not (hasattr(optimizer, "train") and hasattr(optimizer, "eval")):
        yield
        return
    optimizer.eval()
    try:
        yield
    finally:
        optimizer.train()


def read_candidate(given: Candidate | Mapping[str, Any] | Any) -> Candidate:
    """Return the candidate that is given as itself, as JSON, or inside an answer (an object or its JSON).

    Raises:
        InvalidSpec: it is none of these, or an answer that has no candidate yet.
    """
    if isinstance(given, Candidate):
        return given
    is_json = isinstance(given, Mapping)
    inner = given.get("candidate", given) if is_json else getattr(given, "candidate", None)
    if isinstance(inner, Candidate):
        return inner
    if not isinstance(inner, Mapping):
        raise InvalidSpec("there is no candidate in it (an answer has one once a trial is complete)", field="candidate")
    try:
        return Candidate.model_validate(dict(inner))
    except ValidationError as error:
        raise problem_from_validation(error) from error


def _groups(candidate: Candidate, params: Iterable[Any]) -> Groups:
    """Return torch's parameter groups, each with its LR."""
    given = list(params)
    if not given:
        raise InvalidSpec("there is nothing to train", field="params")
    groups: Groups = [dict(group) for group in given] if isinstance(given[0], dict) else [{"params": given}]
    for group in groups:
        if "lr" in group or "initial_lr" in group:
            raise InvalidSpec("a group's own LR would hide the candidate's: use lr_ratios", field="params.lr")
        group["lr"] = candidate.initial_lr * candidate.lr_ratios.get(group.get("name", ""), 1.0)
    unknown = set(candidate.lr_ratios) - {group.get("name") for group in groups}
    if unknown:
        raise InvalidSpec(f"no parameter group is named {', '.join(sorted(unknown))}", field="lr_ratios")
    return groups
