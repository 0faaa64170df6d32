"""What a rung asks of a trial beside its own training: a cooldown on a branch, or a whole schedule that ends there.

`Branching` stands between the loop and an engine and looks like one. A trial at a rung that compares by `cooldown`
steps aside with its state; a branch of it goes into the engine in its place, with its LR falling on a line to zero;
when that is judged the trial goes on from its state, to the bit as if nothing had been. A trial whose rungs compare by
`rescaled` begins with a whole training for each rung that is not settled, and then with its own. The engine packs
branches as it packs trials. Their updates are counted beside the trial's own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from etude.task import Task
from etude.torch import build
from search_spaces.log import bind
from search_spaces.optimizers import SGD
from search_spaces.schedules import Knots, fits, rise_steps
from search_spaces.work import ClaimedTrial

from .engine import Attempt, Engine, Evaluation, Interrupted, TrainingState
from .failures import DIVERGED
from .stops import regular_evaluations

log = bind(__name__)


@dataclass(eq=False)
class Branch:
    """A training for one rung of a trial, in the engine in the trial's place."""

    rung: int
    attempt: Attempt
    counted: int
    """Its updates that are counted among the trial's."""
    beside: bool
    """Whether it leaves the trial's own training; else it comes before that, with a schedule that ends at the rung."""

    @property
    def is_lost(self) -> bool:
        """Whether its state was of no use: what begins again at step 0 is no branch of the trial's."""
        return self.beside and self.attempt.start is None


class Branching:
    """An `Engine` around another: trials whose rungs ask for more are trained for that, too."""

    def __init__(self, engine: Engine, task: Task) -> None:
        self.inner = engine
        self._task = task
        self._trials: list[Attempt] = []
        self._branches: dict[Attempt, Branch] = {}
        """Of the trials that are not in the engine themselves, but for those in `_between`."""
        self._between: list[Attempt] = []
        """Have been judged by a shorter schedule, and go on unless that stops them."""
        self._settled: dict[Attempt, int] = {}
        """The last rung for which a trial has been judged by a shorter schedule."""

    @property
    def size(self) -> int:
        """How many trials the engine trains at best at once: a branch takes the place of its trial."""
        return self.inner.size

    @property
    def attempts(self) -> list[Attempt]:
        """The trials in it, whether they or their branches are in training."""
        return list(self._trials)

    def enter(self, attempt: Attempt) -> None:
        """Take a trial in, with what its first rung asks for before."""
        self._trials.append(attempt)
        start = attempt.start
        if start is not None and "evaluation" in start:
            self._resume_beside(attempt, start)
        elif start is not None and "shorter" in start:
            self._resume_shorter(attempt, start)
        else:
            self._go_on(attempt)

    def leave(self, attempt: Attempt) -> None:
        """Let a trial go, with its branch."""
        branch = self._branches.pop(attempt, None)
        if attempt in self._between:
            self._between.remove(attempt)
        elif branch is None or branch.attempt in self.inner.attempts:
            self.inner.leave(attempt if branch is None else branch.attempt)
        self._forget(attempt)

    def advance(self, interrupted: Interrupted) -> list[Attempt]:
        """Train to the next stop of a trial; empty, too, where only a branch has come to a stop."""
        between, self._between = self._between, []
        for attempt in between:
            self._go_on(attempt)
        stopped = self.inner.advance(interrupted)
        self._count()
        branches = {branch.attempt: trial for trial, branch in self._branches.items()}
        return [trial for one in stopped if (trial := self._after(one, branches.get(one))) is not None]

    def state(self, attempt: Attempt) -> TrainingState | None:
        """Return where a trial stands: before its branch, or in its shorter schedule; None before its first update."""
        branch = self._branches.get(attempt)
        if branch is None:
            return attempt.start if attempt in self._between else self.inner.state(attempt)
        if branch.beside:
            return attempt.start
        state = self.inner.state(branch.attempt)
        return None if state is None else TrainingState(**{**state, "shorter": branch.rung})

    # Entering

    def _go_on(self, trial: Attempt) -> None:
        """Begin the next shorter schedule of a trial, or its own training."""
        rung = next_shorter(trial.claimed, self._settled.get(trial, 0))
        if rung is None or trial.start is not None:
            self.inner.enter(trial)
        else:
            self._enter(trial, Branch(rung, Attempt(shortened(trial.claimed, rung)), 0, beside=False))

    def _resume_shorter(self, trial: Attempt, start: TrainingState) -> None:
        trial.start, trial.steps_done = None, 0
        rung = start["shorter"]
        if rung != next_shorter(trial.claimed, 0):
            self._go_on(trial)
            return
        inside = Attempt(shortened(trial.claimed, rung), _plain(start), start["step"])
        self._enter(trial, Branch(rung, inside, start["step"], beside=False))

    def _resume_beside(self, trial: Attempt, start: TrainingState) -> None:
        trial.start = _plain(start)
        trial.evaluation = Evaluation(**start["evaluation"])
        trial.metrics = dict(trial.evaluation.further)
        if start["step"] <= trial.claimed.settled_rung or not self._leave_for_branch(trial, trial.start):
            self.inner.enter(trial)

    def _enter(self, trial: Attempt, branch: Branch) -> None:
        self._branches[trial] = branch
        self.inner.enter(branch.attempt)

    # Stops

    def _count(self) -> None:
        for trial, branch in self._branches.items():
            trial.extra_steps += max(0, branch.attempt.steps_done - branch.counted)
            branch.counted = branch.attempt.steps_done

    def _after(self, stopped: Attempt, trial: Attempt | None) -> Attempt | None:
        """Return the trial that has come to a stop by this, if it has."""
        if trial is not None:
            return self._after_branch(trial, self._branches[trial])
        if stopped.complete or stopped.error is not None or stopped.given_back:
            self._forget(stopped)
            return stopped
        at = 0 if stopped.evaluation is None else stopped.evaluation.step
        if not is_cooled(stopped.claimed, at, whole_cohort=self._task.cohort):
            return stopped
        state = self.inner.state(stopped)
        return None if state is not None and self._leave_for_branch(stopped, state) else stopped

    def _after_branch(self, trial: Attempt, branch: Branch) -> Attempt | None:
        if branch.is_lost and branch.attempt in self.inner.attempts:
            self.inner.leave(branch.attempt)
        elif not branch.attempt.complete and branch.attempt.error is None:
            return None
        del self._branches[trial]
        return self._after_cooldown(trial, branch) if branch.beside else self._after_shorter(trial, branch)

    def _after_cooldown(self, trial: Attempt, branch: Branch) -> Attempt:
        assert trial.evaluation is not None
        assert trial.start is not None
        if branch.attempt.complete and not branch.is_lost:
            trial.evaluation = replace(trial.evaluation, cooldown=branch.attempt.value)
        else:
            _say_none(trial, branch)
        trial.start = _plain(trial.start)
        self.inner.enter(trial)
        return trial

    def _after_shorter(self, trial: Attempt, branch: Branch) -> Attempt:
        ended = branch.attempt
        if ended.error is not None and ended.error != DIVERGED:
            trial.error = ended.error
            self._forget(trial)
            return trial
        value = ended.value if ended.complete and ended.value is not None else math.nan
        trial.evaluation = Evaluation(branch.rung, value, {}, kind="rescaled")
        self._settled[trial] = branch.rung
        self._between.append(trial)
        return trial

    def _leave_for_branch(self, trial: Attempt, state: TrainingState) -> bool:
        """Put a branch in the place of a trial at a rung; tell whether there is anything to decay."""
        claimed = cooled(trial.claimed, state, self._task)
        if claimed is None:
            return False
        if trial in self.inner.attempts:
            self.inner.leave(trial)
        assert trial.evaluation is not None
        shown = {"step": state["step"], "value": trial.evaluation.value, "further": dict(trial.evaluation.further)}
        trial.start = TrainingState(**{**state, "evaluation": shown})
        start = TrainingState(**{**state, "scheduler": _of_branch(state, claimed.horizon_steps)})
        branch = Attempt(claimed, start, state["step"])
        self._enter(trial, Branch(state["step"], branch, state["step"], beside=True))
        return True

    def _forget(self, trial: Attempt) -> None:
        self._trials.remove(trial)
        self._settled.pop(trial, None)


# What is trained for a rung


def next_shorter(claimed: ClaimedTrial, settled: int) -> int | None:
    """Return the next rung for which a trial is trained with a whole schedule; None where none is left.

    One that the schedule does not fit into is passed by.
    """
    if claimed.fidelity != "rescaled":
        return None
    ahead = (rung for rung in claimed.rungs if max(settled, claimed.settled_rung) < rung < claimed.horizon_steps)
    return next((rung for rung in ahead if fits(claimed.candidate.schedule, rung)), None)


def shortened(claimed: ClaimedTrial, rung: int) -> ClaimedTrial:
    """Return a trial whose schedule ends at a rung."""
    return claimed.model_copy(update={"horizon_steps": rung, "rungs": [], "fidelity": "truncated"})


def is_cooled(claimed: ClaimedTrial, step: int, *, whole_cohort: bool = False) -> bool:
    """Tell whether a trial is judged by a branch after update `step`: at a rung that is open, not inside its rise.

    A cohort, whose trials share their batches, steps aside as a whole: else branches would wait for those that went on.
    """
    if claimed.fidelity != "cooldown" or step not in claimed.rungs or step <= claimed.settled_rung:
        return False
    rises = rise_steps(claimed.candidate.schedule, claimed.horizon_steps) > step
    return step < claimed.horizon_steps and (whole_cohort or not rises)


def cooled(claimed: ClaimedTrial, state: TrainingState, task: Task) -> ClaimedTrial | None:
    """Return the branch of a trial at `state`: its LR falls on a line from where it is to zero, over `cooldown_steps`.

    None where the LR is zero already: the trial is judged as it is.
    """
    rung, factor = state["step"], _factor(claimed, state, task)
    if factor == 0:
        return None
    horizon = rung + min(claimed.cooldown_steps, claimed.horizon_steps - rung)
    schedule = Knots(positions=[0.0, rung / horizon, 1.0], values=[factor, factor, 0.0])
    candidate = claimed.candidate.model_copy(update={"schedule": schedule})
    changes = {"candidate": candidate, "horizon_steps": horizon, "rungs": [], "fidelity": "truncated"}
    return claimed.model_copy(update=changes)


def _factor(claimed: ClaimedTrial, state: TrainingState, task: Task) -> float:
    """Return the factor on the initial LR that is in force for the next update."""
    plain = claimed.candidate.model_copy(update={"optimizer": SGD(), "lr_ratios": {}})
    horizon = claimed.horizon_steps
    _, scheduler = build(
        plain, [torch.zeros(1, requires_grad=True)], horizon,
        evaluations=regular_evaluations(task, horizon), direction=task.direction,
    )  # fmt: skip
    scheduler.load_state_dict({**state["scheduler"], "base_lrs": list(scheduler.base_lrs)})
    return float(np.float64(scheduler.factor()))


def _of_branch(state: TrainingState, horizon: int) -> dict[str, Any]:
    """Return the scheduler's state for a branch: at the same step and LRs, of its own horizon."""
    own = state["scheduler"]
    return {"total_steps": horizon, "step": own["step"], "base_lrs": list(own["base_lrs"])}


def _plain(state: TrainingState) -> TrainingState:
    """Return a state without what says that it is of a rung."""
    kept = state.copy()
    kept.pop("evaluation", None)
    kept.pop("shorter", None)
    return kept


def _say_none(trial: Attempt, branch: Branch) -> None:
    reason = branch.attempt.reason or "its state was of no use"
    claimed = trial.claimed
    log.warning("branch_without_value", study=claimed.study, trial=claimed.number, rung=branch.rung, reason=reason)
