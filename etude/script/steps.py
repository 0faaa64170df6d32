"""Counts the updates of a script and has each made with the LR of its trial.

A step of any optimizer is one update and one step of the horizon: two that alternate share the curve. A step within a
step (an optimizer that wraps another, a subclass that calls its base) belongs to the outer one. A step that a
GradScaler leaves out is none, nor is one that raises. After the step the script sees its own LR again: its scheduler
goes on from its own numbers, and its logs, its checkpoints and its decisions are those that it would have made.
"""

from __future__ import annotations

import math
import os
import time
import weakref
from collections.abc import Iterable
from typing import Any

from . import layout
from .rates import NAN, Imposed, Rates
from .record import Writer
from .trial import Trial


class Known:
    """An optimizer that has stepped."""

    __slots__ = ("groups", "index", "largest", "ratios", "reference", "reference_group", "slots", "updates")

    def __init__(self, optimizer: Any, index: int) -> None:
        self.reference = weakref.ref(optimizer)
        self.index = index
        self.updates = 0
        self.groups = 0
        """How many there are now; a script may add some and take some away."""
        self.ratios: list[float] = []
        self.slots: list[int] = []
        self.largest: list[float] = []
        """By group the largest LR that the script itself has set so far."""
        self.reference_group = 0
        """Position of the group with the largest ratio: its LRs are recorded."""


class Step:
    """A step that has begun."""

    __slots__ = ("frame", "given", "imposed", "in_force", "known", "optimizer", "own")

    def __init__(self, optimizer: Any, frame: Any, known: Known | None) -> None:
        self.optimizer = optimizer
        self.frame = frame
        self.known = known
        self.given: list[tuple[dict[str, Any], float, float]] = []
        """Groups whose LR is a float, each with the script's own and ours."""
        self.imposed: list[Imposed] = []
        """Groups whose LR is anything else."""
        self.own = self.in_force = NAN


class Updates:
    """The hooks before and after every optimizer's step in this process."""

    def __init__(self, torch: Any, trial: Trial, writer: Writer) -> None:
        self._torch, self._trial = torch, trial
        self._unset_seed = torch.initial_seed()
        """Drawn by torch as it was imported, until somebody sets another."""
        self._start_anew(writer, 0)

    def forked(self, writer: Writer) -> None:
        """Be a process of its own: the counts and the record so far are the parent's."""
        self._start_anew(writer, self.made)

    def _start_anew(self, writer: Writer, made: int) -> None:
        self._writer = writer
        self._base = made
        self._rates = Rates(self._torch, self._trial.own_lrs, self.misfit)
        self._known: dict[int, Known] = {}
        self._steps: list[Step] = []
        self._said: set[str] = set()
        self._optimizers_before = self._optimizers = self._slots = 0
        self._first_seconds = 0.0
        self.count = 0
        self.trains = False

    @property
    def made(self) -> int:
        """Updates that this rank has made so far."""
        return self._base + self.count

    def misfit(self, words: str) -> None:
        """Note once what does not fit a trial."""
        if words not in self._said:
            self._said.add(words)
            self._writer.event("misfit", words=words)

    def before(self, optimizer: Any, frame: Any) -> None:
        """Put the trial's LR in force; `frame` is that of the step, which is on the stack until it ends or raises."""
        if self._steps:
            self._drop_those_that_raised(frame)
        if self._steps:
            self._steps.append(self._nested(optimizer, frame))
            return
        if not self.trains:
            self._begin()
        known = self._known.get(id(optimizer))
        if known is None or known.groups != len(optimizer.param_groups) or known.reference() is not optimizer:
            known = self._meet(optimizer)
        step = Step(optimizer, frame, known)
        self._steps.append(step)
        self._look(step, known)
        if self._trial.injects:
            self._impose(step, known, range(len(optimizer.param_groups)))

    def after(self, optimizer: Any, _args: Any, _kwargs: Any) -> None:
        """Give the script its own LR again and count the update."""
        if not self._steps or self._steps[-1].optimizer is not optimizer:
            return  # its step began before we were here
        step = self._steps.pop()
        kept = self._take_back(step)
        if step.known is None or self._left_out(optimizer):
            return
        if not kept:
            self._writer.add(layout.CHANGED)
            ratio = step.known.ratios[step.known.reference_group] if self._trial.lr is not None else 1.0
            step.in_force = self._of_reference(step.known, optimizer) / (ratio or 1.0)
        self._count(step, step.known)

    def _count(self, step: Step, known: Known) -> None:
        now = time.perf_counter()
        if not self.count:
            self._first_seconds = now
        if self._trial.lr is not None and self.made >= len(self._trial.lr):
            self._writer.add(layout.BEYOND)
        known.updates += 1
        if known.index < layout.MOST_OPTIMIZERS:
            self._writer.count(layout.FIRST_OPTIMIZER + known.index, known.updates)
        slot = known.slots[known.reference_group]
        self._writer.row(self.count, step.own, step.in_force, now - self._first_seconds, slot)
        self.count += 1

    def _look(self, step: Step, known: Known) -> None:
        """Read the LRs that the script itself has set; a float, as most are, in the least of time."""
        for position, group in enumerate(step.optimizer.param_groups):
            own = group.get("lr")
            if type(own) is not float:
                own = self._rates.number(own)
            if own > known.largest[position]:
                known.largest[position] = own
                self._writer.largest(known.slots[position], own)
            if position == known.reference_group:
                step.own = step.in_force = own

    def _of_reference(self, known: Known, optimizer: Any) -> float:
        return self._rates.number(optimizer.param_groups[known.reference_group].get("lr"))

    def _impose(self, step: Step, known: Known, positions: Iterable[int]) -> None:
        scale = self._trial.scale
        rate = self._trial.rate(self.made) if scale is None else NAN
        for position in positions:
            group = step.optimizer.param_groups[position]
            own, share = group.get("lr"), known.ratios[position] * rate
            if type(own) is float:
                group["lr"] = ours = share if scale is None else own * scale
                step.given.append((group, own, ours))
            elif own is not None:
                step.imposed.append(Imposed(self._torch, group, share, scale))
        step.in_force = rate if scale is None else step.own * scale

    def _take_back(self, step: Step) -> bool:
        """Give the script its own LRs again; False where it has set another one meanwhile, which stays."""
        kept = True
        for group, own, ours in step.given:
            if group.get("lr") is ours:
                group["lr"] = own
            else:
                kept = False
        for one in step.imposed:
            kept = one.take_back() and kept
        return kept

    def _nested(self, optimizer: Any, frame: Any) -> Step:
        """Begin a step within a step, which is not counted.

        Its groups are the outer one's, or copies that have the outer one's LR already; any other gets its share.
        """
        step = Step(optimizer, frame, None)
        outer = [group for one in self._steps for group in one.optimizer.param_groups]
        rates = {self._rates.number(group.get("lr")) for group in outer}
        strangers = [
            position
            for position, group in enumerate(optimizer.param_groups)
            if "lr" in group and not (_holds(outer, group) or self._rates.number(group["lr"]) in rates)
        ]
        if strangers and self._trial.injects:
            self._impose(step, self._meet(optimizer), strangers)
        return step

    def _drop_those_that_raised(self, frame: Any) -> None:
        """Forget steps that were left by an exception, and give their groups the script's own LR again."""
        calling = set()
        while frame is not None:
            calling.add(frame)
            frame = frame.f_back
        while self._steps and self._steps[-1].frame not in calling:
            self._take_back(self._steps.pop())

    def _left_out(self, optimizer: Any) -> bool:
        """Whether an optimizer that looks at found_inf by itself has left this update out.

        On an accelerator nobody knows without waiting for it: the update counts.
        """
        found = getattr(optimizer, "found_inf", None)
        return isinstance(found, self._torch.Tensor) and found.device.type == "cpu" and bool(found.any())

    def _begin(self) -> None:
        """Open the record at the first update: by now the script knows its rank and has set its seeds."""
        self.trains = True
        rank, world = _rank(self._torch)
        self._base, self._optimizers_before = self._writer.begin(rank, world)
        local, seed = os.environ.get("LOCAL_RANK", ""), self._torch.initial_seed()
        self._writer.event(
            "begin",
            local_rank=int(local) if local.isdigit() else None,
            torch_seed=seed if seed != self._unset_seed else None,
        )

    def _meet(self, optimizer: Any) -> Known:
        known = self._known.get(id(optimizer))
        if known is None or known.reference() is not optimizer:
            known = self._known[id(optimizer)] = Known(optimizer, self._optimizers)
            self._optimizers += 1
            self._writer.count(layout.OPTIMIZERS, self._optimizers)
        groups = len(optimizer.param_groups)
        if len(known.ratios) < groups:
            self._meet_groups(optimizer, known)
        if known.groups != groups:
            known.groups = groups
            known.reference_group = known.ratios.index(max(known.ratios[:groups]))
        return known

    def _meet_groups(self, optimizer: Any, known: Known) -> None:
        first, groups = len(known.ratios), optimizer.param_groups
        index = self._optimizers_before + known.index
        known.ratios += [self._rates.ratio(optimizer, index, position) for position in range(first, len(groups))]
        known.largest += [0.0] * (len(groups) - first)
        known.slots += range(self._slots, self._slots + len(groups) - first)
        described: list[dict[str, Any]] = [
            {"initial_lr": self._rates.initial(group), "ratio": ratio}
            for group, ratio in zip(groups[first:], known.ratios[first:])
        ]
        self._writer.event(
            "groups", optimizer=known.index, slot=self._slots, groups=described, resumed_step=_resumed_step(optimizer),
            kind=f"{type(optimizer).__module__}.{type(optimizer).__qualname__}",
        )  # fmt: skip
        self._slots += len(groups) - first
        for position in range(first, len(groups)):
            self._keep_far(known, position, groups[position], described[position - first]["initial_lr"])

    def _keep_far(self, known: Known, position: int, group: dict[str, Any], initial: float | None) -> None:
        """Keep the LR that a group begins with as its largest, where it lies on a device and is not read again."""
        if initial and math.isnan(self._rates.number(group.get("lr"))):
            known.largest[position] = initial
            self._writer.largest(known.slots[position], initial)


def _rank(torch: Any) -> tuple[int, int]:
    """Return rank and world size: of the process group if there is one, else of the launcher's environment."""
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    rank, world = os.environ.get("RANK", ""), os.environ.get("WORLD_SIZE", "")
    return int(rank) if rank.isdigit() else 0, int(world) if world.isdigit() else 1


def _resumed_step(optimizer: Any) -> int:
    """Return how many updates an optimizer's state has behind it, as far as it says so."""
    state = next(iter(optimizer.state.values()), None)
    step = state.get("step", 0) if isinstance(state, dict) else 0
    return int(step) if hasattr(step, "__int__") else 0


def _holds(groups: list[Any], group: Any) -> bool:
    return any(one is group for one in groups)
