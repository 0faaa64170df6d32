"""Many trials of one task in training as one computation: each is the training that it would be alone.

Trials share forward and backward passes and keep everything else apart: step, schedule, optimizer, data order, masks.
They enter and leave at any stop: a place that a pruned trial leaves is taken by the next.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from etude.task import Task, judged_by_examples, metric_name, optimum_metric

from ..arithmetic import autocasting, rounding
from ..averaging import SHARES
from ..dropout import drawing
from ..engine import Attempt, Interrupted, TrainingState
from ..failures import DIVERGED, is_out_of_memory, reason_of
from ..solo import Solo
from ..training import Diverged
from .layout import Layout
from .members import Entrance, Member
from .optimizers import group_key
from .stack import Row, Stack, sort_key
from .stacked import Batch, Stacked, stacked_batches
from .ways import Computation, Way, pattern

log = logging.getLogger(__name__)

LONGEST_STRETCH = 500
"""Updates for which LRs are laid out ahead."""
MOST_FAILURES = 3
"""Of a pack's own computation, after which its task is trained one by one."""


class Pack:
    """An `Engine` that trains up to `size` trials at once.

    What cannot be packed is trained aside, one by one, taking turns with the pack: a trial whose optimizer has no
    vectorised form, trials too few to gain by packing, and the trials of a pack in which something was raised, so that
    the error finds its trial.
    """

    def __init__(self, task: Task, size: int, way: Way, least: int = 1, shares: tuple[float, ...] = SHARES) -> None:
        """Build nothing yet but the task's layout.

        Args:
            task: on its device.
            size: trials at once, at most.
            way: to compute gradients.
            least: trials at once for which packing is faster than one by one.
            shares: time constants of running averages, in horizons, for trials that are judged by them.

        Raises:
            NotPackable: the task's parameter groups set more than names.
        """
        model = pattern(task, task.model(0))
        self._task = task
        self._size = size
        self._least = least
        self._layout = Layout(task, model)
        self._computation = Computation(task, model, self._layout.names, way)
        self._entrance = Entrance(task, self._layout, shares)
        self._members: list[Member] = []
        self._stack: Stack | None = None
        """The members' rows, in their order."""
        self._waiting: list[Attempt] = []
        self._refused: list[Attempt] = []
        """Could not enter; returned by the next advance."""
        self._aside = Solo(task)
        self._asides_turn = False
        self._losses = torch.zeros(0)
        """The sums of the members' losses in the last stretch."""
        self._failures = 0

    @property
    def size(self) -> int:
        """Trials at once; half as many each time that memory runs out."""
        return self._size

    @property
    def way(self) -> Way:
        """How gradients are computed."""
        return self._computation.way

    @property
    def is_whole(self) -> bool:
        """Whether all its trials are trained together."""
        return bool(self._members) and not (self._waiting or self._refused or self._aside.attempts)

    @property
    def attempts(self) -> list[Attempt]:
        """The trials in it: in the pack, waiting for it, aside."""
        return [*(member.attempt for member in self._members), *self._waiting, *self._refused, *self._aside.attempts]

    def enter(self, attempt: Attempt) -> None:
        """Take a trial in: into the pack at the next stop, or aside."""
        if group_key(attempt.claimed.candidate.optimizer) is None or self._failures >= MOST_FAILURES:
            self._aside.enter(attempt)
        else:
            self._waiting.append(attempt)

    def leave(self, attempt: Attempt) -> None:
        """Let a trial go: pruned, stopped or lost."""
        if attempt in self._aside.attempts:
            self._aside.leave(attempt)
            return
        self._waiting = [other for other in self._waiting if other is not attempt]
        self._refused = [other for other in self._refused if other is not attempt]
        self._keep(lambda member: member.attempt is not attempt)

    def advance(self, interrupted: Interrupted) -> list[Attempt]:
        """Train the pack, or what is aside, to the next stop of any trial."""
        self._disband()
        self._admit()
        if self._refused:
            refused, self._refused = self._refused, []
            return refused
        self._asides_turn = bool(self._aside.attempts) and (self._asides_turn or not self._members)
        if self._asides_turn:
            self._asides_turn = False
            return self._aside.advance(interrupted)
        self._asides_turn = True
        return self._advance_pack(interrupted) if self._members else []

    def state(self, attempt: Attempt) -> TrainingState | None:
        """Return where a trial stands; None while it has made no update."""
        if attempt in self._aside.attempts:
            return self._aside.state(attempt)
        for place, member in enumerate(self._members):
            if member.attempt is attempt and member.step:
                assert self._stack is not None
                return self._entrance.state(member, self._stack.row(place))
        return attempt.start

    # Entering and leaving

    def _admit(self) -> None:
        """Take in those who wait, as far as there are places and they fit those who are there."""
        entering = self._next_in()
        if not entering:
            return
        self._waiting = [attempt for attempt in self._waiting if attempt not in entering]
        entered: list[tuple[Member, Row]] = []
        for attempt in entering:
            try:
                member = self._entrance.member(attempt)
                entered.append((member, self._entrance.row(member)))
            except Exception as error:  # noqa: BLE001 -- a task's code may raise anything; it is recorded
                attempt.error = reason_of(error)
                self._refused.append(attempt)
        self._rebuild([*self._rows(), *entered])

    def _disband(self) -> None:
        """Train one by one what is too little for a pack, unless others are about to enter."""
        entering = self._next_in()
        if len(self._members) + len(entering) >= min(self._least, self._size):
            return
        self._waiting = [attempt for attempt in self._waiting if attempt not in entering]
        for attempt in [*self._taken_out(self._members), *entering]:
            self._aside.enter(attempt)

    def _next_in(self) -> list[Attempt]:
        places = self._size - len(self._members)
        chosen: list[Attempt] = []
        for attempt in self._waiting:
            if len(chosen) < places and self._fits(attempt, chosen):
                chosen.append(attempt)
        return chosen

    def _fits(self, attempt: Attempt, chosen: Sequence[Attempt]) -> bool:
        """Tell whether a trial can share steps with those of the pack, or with the first to enter an empty one."""
        at, seed = _step_of(attempt), attempt.claimed.seed
        if self._members:
            return not self._task.cohort and self._phase(at) == self._phase(self._members[0].step)
        if not chosen:
            return True
        if self._task.cohort:
            return (at, seed) == (_step_of(chosen[0]), chosen[0].claimed.seed)
        return self._phase(at) == self._phase(_step_of(chosen[0]))

    def _phase(self, step: int) -> int:
        """Return the place in an epoch where batches may differ in size; steps of one phase are made together."""
        return step % self._task.steps_per_epoch if self._task.partial_batch else 0

    def _rows(self) -> list[tuple[Member, Row]]:
        if self._stack is None:
            return []
        return [(member, self._stack.row(place)) for place, member in enumerate(self._members)]

    def _keep(self, stays: Callable[[Member], bool]) -> None:
        if not all(stays(member) for member in self._members):
            self._rebuild([(member, row) for member, row in self._rows() if stays(member)])

    def _rebuild(self, rows: list[tuple[Member, Row]]) -> None:
        rows.sort(key=lambda pair: sort_key(pair[0].spec))
        self._members = [member for member, _ in rows]
        self._stack = Stack(self._layout, self._computation, [row for _, row in rows]) if rows else None

    # Training

    def _advance_pack(self, interrupted: Interrupted) -> list[Attempt]:
        try:
            with rounding(self._task):
                return self._train(interrupted)
        except Exception as error:  # noqa: BLE001 -- a task's code may raise anything; its trial is found and told
            return self._after(error)

    def _train(self, interrupted: Interrupted) -> list[Attempt]:
        while not (due := self._due()):
            if not self._stretch(interrupted):
                return self._diverged()
            if stopped := self._diverged():
                return stopped
            if self._next_in():
                return []
        return self._judge(due)

    def _due(self) -> list[int]:
        return [place for place, member in enumerate(self._members) if member.updates_to_stop == 0]

    def _stretch(self, interrupted: Interrupted) -> bool:
        """Make updates until the next stop of any member, or until one who waits can enter; False when interrupted."""
        assert self._stack is not None
        count = min(LONGEST_STRETCH, self._updates_to_meeting(), *(member.updates_to_stop for member in self._members))
        ahead = np.stack([member.lrs(count) for member in self._members], axis=1)
        table = torch.from_numpy(ahead).to(self._task.device)
        self._losses = torch.zeros(len(self._members), device=self._task.device)
        done = 0
        try:
            while done < count:
                if interrupted():
                    return False
                self._losses += self._update(done, self._layout.spread(table[done]))
                done += 1
                self._follow(done)
        finally:
            for member in self._members:
                member.went(done)
        return True

    def _update(self, done: int, lrs: Tensor) -> Tensor:
        assert self._stack is not None
        at = [(member.seed, member.step + done) for member in self._members]
        with drawing([seed for seed, _ in at], [step for _, step in at]):
            return self._stack.update(self._batch(at), lrs)

    def _follow(self, done: int) -> None:
        """Let averages of the weights follow the updates made."""
        assert self._stack is not None
        self._stack.follow([member.pace for member in self._members], [member.step + done for member in self._members])

    def _batch(self, at: Sequence[tuple[int, int]]) -> Batch:
        distinct = list(dict.fromkeys(at))
        batches = [self._task.batch(step, seed) for seed, step in distinct]
        if len(distinct) == 1:
            return Batch(batches[0], is_shared=True)
        places = [distinct.index(pair) for pair in at]
        return Batch(stacked_batches([batches[place] for place in places]), is_shared=False)

    def _updates_to_meeting(self) -> int:
        """Return the updates until one who waits can share steps with the pack."""
        if self._task.cohort or not self._task.partial_batch or len(self._members) >= self._size:
            return LONGEST_STRETCH
        here = self._members[0].step
        apart = ((_step_of(attempt) - here) % self._task.steps_per_epoch for attempt in self._waiting)
        return min((updates for updates in apart if updates), default=LONGEST_STRETCH)

    def _diverged(self) -> list[Attempt]:
        """Let go of those whose losses are not finite any more."""
        finite = torch.isfinite(self._losses).tolist()
        lost = [member.attempt for member, fine in zip(self._members, finite, strict=True) if not fine]
        for attempt in lost:
            attempt.error = DIVERGED
        self._keep(lambda member: member.attempt.error is None)
        return lost

    # Judging

    def _judge(self, places: Sequence[int]) -> list[Attempt]:
        """Evaluate the members that have come to a stop."""
        stopped = [self._members[place] for place in places]
        averages = self._measured_averages([place for place in places if self._members[place].is_judged_by_averages])
        for place, member, metrics in zip(places, stopped, self._measured(places, "validation"), strict=True):
            decision = metric_name(self._task.metric)
            try:
                member.take(metrics, decision, self._task, averages.get(place, ()))
            except Diverged:
                member.attempt.error = DIVERGED
        tested = [
            place
            for place in places
            if (member := self._members[place]).is_finished
            and member.attempt.error is None
            and member.attempt.claimed.test
        ]
        # The test split is touched here only, by trials whose outcome decides nothing: they come after the verdict.
        for place, metrics in zip(tested, self._measured(tested, "test"), strict=True):
            self._members[place].attempt.metrics |= metrics
        for member in stopped:
            member.attempt.complete = member.is_finished and member.attempt.error is None
            claimed = member.attempt.claimed
            if member.attempt.complete and claimed.purpose == "confirmation":
                member.attempt.metrics |= optimum_metric(self._task, claimed.horizon_steps)
        self._keep(lambda member: not member.attempt.complete and member.attempt.error is None)
        return [member.attempt for member in stopped]

    def _measured(self, places: Sequence[int], split: Any) -> list[dict[str, float]]:
        """Return the metrics of members on a split, by their full names."""
        if not places:
            return []
        assert self._stack is not None
        if judged_by_examples(type(self._task)):
            found = self._computation.metrics(self._stack.chosen(places), split)
            return [{metric_name(name, split): values[i] for name, values in found.items()} for i in range(len(places))]
        return [self._measured_alone(place, split) for place in places]

    def _measured_averages(self, places: Sequence[int]) -> dict[int, list[float]]:
        """Return the decision metric of each average of some members' weights, by place."""
        if not places:
            return {}
        assert self._stack is not None
        scales = [
            member.pace.scales(member.step) if member.pace else () for member in map(self._members.__getitem__, places)
        ]
        found: dict[int, list[float]] = {place: [] for place in places}
        for averaged in self._stack.averaged(places, scales):
            for index, (place, metrics) in enumerate(zip(places, self._measured_of(averaged, places), strict=True)):
                if scales[index]:
                    found[place].append(metrics[metric_name(self._task.metric)])
        return found

    def _measured_of(self, stacked: Stacked, places: Sequence[int]) -> list[dict[str, float]]:
        if judged_by_examples(type(self._task)):
            found = self._computation.metrics(stacked, "validation")
            return [{metric_name(name): values[i] for name, values in found.items()} for i in range(len(places))]
        rows = [
            ([parameter[i] for parameter in stacked.parameters], {n: b[i] for n, b in stacked.buffers.items()})
            for i in range(len(places))
        ]
        return [self._evaluated(self._members[p], *row, "validation") for p, row in zip(places, rows, strict=True)]

    def _measured_alone(self, place: int, split: Any) -> dict[str, float]:
        assert self._stack is not None
        row = self._stack.row(place)
        return self._evaluated(self._members[place], self._layout.split(row.parameters), row.buffers, split)

    def _evaluated(
        self, member: Member, parameters: Sequence[Tensor], buffers: Mapping[str, Tensor], split: Any
    ) -> dict[str, float]:
        model = self._entrance.plain(member, parameters, buffers).eval()
        with torch.no_grad(), autocasting(self._task):
            return {metric_name(name, split): value for name, value in self._task.evaluate(model, split).items()}

    # Faults

    def _after(self, error: Exception) -> list[Attempt]:
        """Go on after something was raised: with fewer trials at once, or one by one."""
        if is_out_of_memory(error) and len(self._members) > 1:
            self._shrink()
            return []
        self._failures += not is_out_of_memory(error)
        log.warning("packed training of %s failed, its trials go on alone: %r", self._task.name, error)
        for attempt in self._taken_out(self._members):
            self._aside.enter(attempt)
        if self._failures >= MOST_FAILURES:
            self._size = 1
            for attempt in self._waiting:
                self._aside.enter(attempt)
            self._waiting = []
        return []

    def _shrink(self) -> None:
        self._size = len(self._members) // 2
        log.warning("out of memory: %s is packed by %d from now on", self._task.name, self._size)
        assert self._stack is not None
        self._waiting[:0] = self._taken_out(self._members if self._stack.is_torn else self._members[self._size :])
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _taken_out(self, members: Sequence[Member]) -> list[Attempt]:
        """Take members out, each to go on from where it stands, or from where it entered if that is lost."""
        leaving = list(members)
        if self._stack is not None and not self._stack.is_torn:
            for member in leaving:
                member.attempt.start = self.state(member.attempt)
        attempts = [member.attempt for member in leaving]
        self._keep(lambda member: member not in leaving)
        return attempts


def _step_of(attempt: Attempt) -> int:
    return attempt.start["step"] if attempt.start else 0
