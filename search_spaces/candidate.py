"""A candidate: one point of the space, which is an optimizer, an initial LR and a schedule."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from .model import Model
from .optimizers import AnyOptimizer
from .schedules import AnySchedule
from .searched import refuse

PositiveLR = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Candidate(Model):
    """What a trial trains with: LR(t) = initial_lr * f(t), times a group's ratio where the task names groups."""

    optimizer: AnyOptimizer
    initial_lr: PositiveLR
    """The LR at schedule factor 1: the peak, where the schedule warms up or cycles."""
    schedule: AnySchedule
    lr_ratios: dict[str, PositiveLR] = {}
    """Factors on the initial LR by the task's parameter group."""

    @model_validator(mode="after")
    def _schedule_fits_the_optimizer(self) -> Candidate:
        optimizer, schedule = self.optimizer, self.schedule
        if optimizer.constant_only and (schedule.kind != "constant" or schedule.restarts is not None):
            raise refuse("schedule", f"{optimizer.kind} goes with the schedule constant (and a warm-up) only")
        if optimizer.one_lr and self.lr_ratios:
            raise refuse("lr_ratios", f"{optimizer.kind} has one LR for all parameter groups")
        if schedule.kind == "script" and optimizer.kind != "script":
            raise refuse("schedule", "a script's own schedule goes with its own optimizer")
        return self

    def with_lr(self, factor: float) -> Candidate:
        """Return the same candidate at `factor` times its initial LR, rounded to 12 digits: 3 * 0.1 reads 0.3."""
        return self.model_copy(update={"initial_lr": float(f"{self.initial_lr * factor:.12g}")})
