"""A pack's trials one by one: how each enters, and where each stands."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from etude.task import Task
from etude.torch import ScheduledLR, build
from search_spaces.optimizers import Optimizer

from ..averaging import SHARES, Pace, averages_of, best_of, check_averages, pace_of
from ..engine import Attempt, Evaluation, TrainingState
from ..randomness import reseed_torch
from ..resuming import StateDoesNotFit
from ..stops import cadence, regular_evaluations, stops_from
from ..training import BEFORE_THE_FIRST_STEP, Diverged
from .averages import AverageRow
from .layout import Layout
from .stack import Row
from .ways import pattern


@dataclass(eq=False)
class Member:
    """A trial in a pack, but for its row."""

    attempt: Attempt
    scheduler: ScheduledLR
    """As the candidate's, on parameters that stand for each group."""
    step: int
    stops: list[int]
    """Still ahead."""
    pace: Pace | None = None
    """Of the averages of its weights, where it is judged by them."""

    @property
    def seed(self) -> int:
        """Of weights, order and masks."""
        return self.attempt.claimed.seed

    @property
    def spec(self) -> Optimizer:
        """The candidate's optimizer."""
        return self.attempt.claimed.candidate.optimizer

    @property
    def is_finished(self) -> bool:
        """Whether the horizon is reached."""
        return self.step == self.attempt.claimed.horizon_steps

    @property
    def updates_to_stop(self) -> int:
        """Updates until the next stop; 0 where it is reached and not yet evaluated."""
        return self.stops[0] - self.step

    def lrs(self, count: int) -> NDArray[np.float64]:
        """Return the LRs of the next updates: (count, groups)."""
        return self.scheduler.ahead(count)

    def went(self, count: int) -> None:
        """Take note of updates made."""
        self.step += count
        self.scheduler.skip(count)
        self.attempt.steps_done = self.step

    @property
    def is_judged_by_averages(self) -> bool:
        """Whether it stands at a rung where averages of its weights count."""
        return self.pace is not None and self.step in self.attempt.claimed.rungs

    def take(self, metrics: Mapping[str, float], decision: str, task: Task, averages: Sequence[float] = ()) -> None:
        """Take what the stop has shown; `averages` are the decision metrics of averaged weights.

        Raises:
            Diverged: the decision metric is not a finite number.
        """
        stop = self.stops.pop(0)
        further = dict(metrics)
        value = further.pop(decision)
        if not math.isfinite(value):
            raise Diverged
        if stop % cadence(task) == 0:
            self.scheduler.observe(value)
        evaluation = Evaluation(self.step, value, further, best_of(averages, task.direction), tuple(averages))
        self.attempt.evaluation, self.attempt.metrics = evaluation, dict(further)


class Entrance:
    """Makes members and their rows for one task."""

    def __init__(self, task: Task, layout: Layout, shares: tuple[float, ...] = SHARES) -> None:
        self._task = task
        self._shares = shares
        self._layout = layout
        self._fresh: tuple[int, nn.Module] | None = None
        """The seed asked for last, with its model: the trials of a search share theirs."""

    def member(self, attempt: Attempt) -> Member:
        """Return a trial as it enters.

        Raises:
            Problem: the candidate does not fit the task or the horizon.
            StateDoesNotFit: what it goes on from is another training's.
        """
        claimed, start = attempt.claimed, attempt.start
        names = self._layout.group_names
        groups = [{"params": [torch.zeros(1, requires_grad=True)]} | ({"name": n} if n else {}) for n in names]
        evaluations = regular_evaluations(self._task, claimed.horizon_steps)
        _, scheduler = build(
            claimed.candidate, groups, claimed.horizon_steps, evaluations=evaluations, direction=self._task.direction
        )
        step = start["step"] if start else 0
        if start is not None:
            try:
                scheduler.load_state_dict(dict(start["scheduler"]))
            except (KeyError, ValueError, TypeError) as error:
                raise StateDoesNotFit(f"the state does not fit: {error}") from error
        attempt.steps_done = step
        stops = stops_from(self._task, claimed.horizon_steps, claimed.rungs, step)
        return Member(attempt, scheduler, step, stops, pace_of(claimed, self._shares))

    def row(self, member: Member) -> Row:
        """Return a member's row: of its seed's fresh model, or of the state that it goes on from.

        Raises:
            StateDoesNotFit: the state is another training's.
        """
        values = {name: value.detach() for name, value in held(self.fresh(member.seed)).items()}
        start = member.attempt.start
        like = values[self._layout.names[0]]
        optimizer: Mapping[str, Tensor] = {}
        if start is not None:
            for name in start["model"].keys() & values.keys():
                _check_alike(name, values[name], start["model"][name])
                values[name] = start["model"][name].to(like.device)
            optimizer = self._layout.by_name(start["optimizer"]["state"], like)
        averages = self._averages(member, values)
        parameters = self._layout.join([values.pop(name) for name in self._layout.names], like)
        return Row(member.spec, parameters, values, optimizer, averages)

    def state(self, member: Member, row: Row) -> TrainingState:
        """Return where a member stands, as `Training.state` would."""
        values = {**dict(zip(self._layout.names, self._layout.split(row.parameters), strict=True)), **row.buffers}
        model = self.fresh(member.seed)
        # A tied weight has one value under several names.
        names = {id(tensor): name for name, tensor in held(model).items()}
        saved = model.state_dict(keep_vars=True)
        state = TrainingState(
            step=member.step,
            model={name: values[names[id(tensor)]].to("cpu", copy=True) for name, tensor in saved.items()},
            optimizer={"state": self._layout.by_parameter(row.optimizer), "param_groups": None},
            scheduler=_plain(member.scheduler.state_dict()),
        )
        if member.pace is not None and row.averages is not None:
            state["averages"] = row.averages.by_name(self._layout)
        return state

    def _averages(self, member: Member, values: Mapping[str, Tensor]) -> AverageRow | None:
        if member.pace is None:
            return None
        own = {name: value for name, value in values.items() if value.is_floating_point()}
        saved = averages_of(member.attempt.start)
        if saved is None:
            saved = [{name: torch.zeros_like(value) for name, value in own.items()} for _ in member.pace.shares]
        check_averages(own, saved, len(member.pace.shares))
        return AverageRow.joined(saved, self._layout, values[self._layout.names[0]])

    def plain(self, member: Member, parameters: Sequence[Tensor], buffers: Mapping[str, Tensor]) -> nn.Module:
        """Return a model of the task that holds a member's values, in the layout's order, to be evaluated by itself."""
        model = self.fresh(member.seed)
        values = held(model)
        with torch.no_grad():
            for name, value in zip(self._layout.names, parameters, strict=True):
                values[name].copy_(value)
            for name, value in buffers.items():
                values[name].copy_(value)
        self._fresh = None  # it is not fresh any more
        return model

    def fresh(self, seed: int) -> nn.Module:
        """Return the task's model as a training of this seed begins with it."""
        if self._fresh is None or self._fresh[0] != seed:
            reseed_torch(seed, BEFORE_THE_FIRST_STEP)
            self._fresh = (seed, pattern(self._task, self._task.model(seed)))
        return self._fresh[1]


def held(model: nn.Module) -> dict[str, Tensor]:
    """Return everything that differs from trial to trial in a model: parameters and buffers by name."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def _check_alike(name: str, own: Tensor, saved: Any) -> None:
    if own.shape != saved.shape or own.dtype != saved.dtype:
        raise StateDoesNotFit(
            f"the state does not fit: {name} is {tuple(saved.shape)} {saved.dtype}, not {tuple(own.shape)} {own.dtype}"
        )


def _plain(value: Any) -> Any:
    """Copy dicts and lists, so that what goes on does not change what was taken."""
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list) else value
