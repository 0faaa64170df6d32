"""One training: a candidate on a task, from update 0 to the horizon, with stops to evaluate.

A training knows nothing of studies, leases and verbs: it goes from stop to stop and can be left at any step.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from etude.task import Split, Task, metric_name
from etude.torch import build, evaluating
from search_spaces.candidate import Candidate
from search_spaces.steps import horizon_mismatch

from .arithmetic import autocasting, laid_out, rounding
from .averaging import Averages, Pace, averages_of, best_of
from .dropout import counted, drawing
from .engine import Evaluation, Interrupted, TrainingState
from .randomness import reseed_torch
from .resuming import StateDoesNotFit, put_back, taken
from .stops import cadence, regular_evaluations, stops_from

__all__ = ["Diverged", "Evaluation", "HorizonMismatch", "StateDoesNotFit", "Training"]

BEFORE_THE_FIRST_STEP = -1


class Diverged(Exception):
    """The loss or the decision metric is not a finite number any more."""


class HorizonMismatch(Exception):
    """The optimizer made fewer or more updates than the horizon has: the LR was not the one that was asked for."""


class Training:
    """A training in progress; `step` updates are made."""

    def __init__(
        self,
        task: Task,
        candidate: Candidate,
        *,
        horizon_steps: int,
        seed: int,
        rungs: tuple[int, ...] = (),
        start: TrainingState | None = None,
        pace: Pace | None = None,
    ) -> None:
        """Build the model, the optimizer and the scheduler, and bring them to `start` if there is one.

        On the device where it was taken, going on from a state is bit-equal to never having stopped. With a `pace`
        running averages of the weights are judged at rungs, too.

        Raises:
            Problem: the candidate does not fit the task or the horizon.
            StateDoesNotFit: `start` is another training's.
            WrongPrecision: the task's model is not made in the precision that the task declares.
        """
        self.task = task
        self.seed = seed
        self.horizon_steps = horizon_steps
        self.step = 0
        self.updates = 0
        """Updates that the optimizer made: `step`, unless the task makes some of its own."""
        self._rungs = rungs
        self._stops = stops_from(task, horizon_steps, rungs)
        reseed_torch(seed, BEFORE_THE_FIRST_STEP)
        self.model = counted(laid_out(task, task.model(seed)))
        self.optimizer, self.scheduler = build(
            candidate,
            task.groups(self.model),
            horizon_steps,
            evaluations=regular_evaluations(task, horizon_steps),
            direction=task.direction,
        )
        self.optimizer.register_step_post_hook(self._count)
        if start is not None:
            self._go_on(start)
        self._averages = None if pace is None else Averages(self.model, pace, averages_of(start))

    @property
    def finished(self) -> bool:
        """Whether the horizon is reached."""
        return self.step == self.horizon_steps

    def state(self) -> TrainingState:
        """Return where the training stands, to be gone on from; ask between two updates.

        A stop whose evaluation was yielded is behind it: going on evaluates at the next one.
        """
        state = taken(self.step, self.model, self.optimizer, self.scheduler)
        if self._averages is not None:
            state["averages"] = self._averages.state()
        return state

    def evaluations(self, interrupted: Interrupted) -> Iterator[Evaluation]:
        """Train, and yield at every stop: regular evaluations, rungs and the horizon.

        Ends early, between two steps, when `interrupted()` says so; called again, it goes on from there.

        Raises:
            Diverged: the loss or the decision metric is not finite.
            HorizonMismatch: at the horizon, the optimizer has not made exactly that many updates.
        """
        while self._stops:
            stop = self._stops[0]
            if not self._advance(stop, interrupted):
                return
            evaluation = self._evaluate()
            self._stops.pop(0)
            if stop % cadence(self.task) == 0:
                self.scheduler.observe(evaluation.value)
            if self.finished and self.updates != self.horizon_steps:
                raise HorizonMismatch(horizon_mismatch(self.updates, self.horizon_steps))
            yield evaluation

    def measure(self, split: Split) -> dict[str, float]:
        """Return every metric on a split, by its full name (`test_accuracy`)."""
        self.model.eval()
        try:
            with torch.no_grad(), evaluating(self.optimizer), rounding(self.task), autocasting(self.task):
                metrics = self.task.evaluate(self.model, split)
        finally:
            self.model.train()
        return {metric_name(name, split): value for name, value in metrics.items()}

    def _go_on(self, start: TrainingState) -> None:
        if not 0 <= start["step"] <= self.horizon_steps:
            raise StateDoesNotFit(f"the state is of step {start['step']}, the horizon has {self.horizon_steps}")
        put_back(start, self.model, self.optimizer, self.scheduler)
        self.step = self.updates = start["step"]
        self._stops = stops_from(self.task, self.horizon_steps, self._rungs, self.step)

    def _advance(self, stop: int, interrupted: Interrupted) -> bool:
        # A sum shows a loss that is not finite as well as each loss would, and a GPU waits for it once a stop.
        total = torch.zeros((), device=self.task.device)
        with rounding(self.task):
            while self.step < stop:
                if interrupted():
                    return False
                total += self._update()
        if not math.isfinite(total.item()):
            raise Diverged
        return True

    def _update(self) -> torch.Tensor:
        reseed_torch(self.seed, self.step)
        batch = self.task.batch(self.step, self.seed)
        # The backward pass is outside: a checkpointed layer would draw other masks when it is computed again.
        with drawing([self.seed], [self.step]), autocasting(self.task):
            loss: torch.Tensor = self.task.loss(self.model, batch)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.scheduler.step()
        self.step += 1
        if self._averages is not None:
            self._averages.follow(self.step)
        return loss.detach()

    def _evaluate(self) -> Evaluation:
        metrics = self.measure("validation")
        value = metrics.pop(metric_name(self.task.metric))
        if not math.isfinite(value):
            raise Diverged
        averages = self._averaged()
        return Evaluation(self.step, value, metrics, best_of(averages, self.task.direction), averages)

    def _averaged(self) -> tuple[float, ...]:
        """Return the decision metric of each average, at a rung."""
        if self._averages is None or self.step not in self._rungs:
            return ()
        decision = metric_name(self.task.metric)
        return tuple(self._averages.judged(self.step, lambda: self.measure("validation")[decision]))

    def _count(self, *_: object) -> None:
        self.updates += 1
