"""`plateau`: the LR is cut whenever the metric stops getting better; the one kind that is no function of the step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from ..problems import InvalidSpec, Unsupported
from ..ranges import Choice, FloatRange
from .base import Floats, Schedule, Share, Steps, percent

Direction = Literal["minimize", "maximize"]
Flavour = Literal["torch", "keras", "paddle"]

LEAST_CUT = 1e-8
"""A cut by no more than this (in units of the initial LR) is not made, as in torch."""


class Plateau(Schedule):
    """After more than `patience` evaluations without a better metric, f becomes max(factor f, min_factor).

    factor: what a cut leaves of the LR.
    patience, cooldown: fractions of the number of evaluations in the horizon, rounded half up, 0 allowed. During the
        cooldown after a cut no evaluation counts as bad.
    threshold: how much better is better: relative to the best value (`rel`), or in the metric's unit (`abs`).
    min_factor: the lowest multiple of the initial LR.
    flavour: whose decisions are followed, one by one. `torch`: a cut comes with bad evaluation patience + 1, and the
        best value is kept up to date in the cooldown too. `keras`: it comes with bad evaluation patience. `paddle`: as
        torch, but blind during the cooldown. As in torch and Paddle, `rel` is relative to the signed best value:
        for a metric below 0 take `abs`.

    >>> rule = Plateau(factor=0.1, patience=0.0).rule(evaluations=4, direction="minimize")
    >>> [rule.feed(loss) for loss in (2.0, 1.0, 1.0)]
    [1.0, 1.0, 0.1]

    With a warm-up in front the LR is the product of both. Source: torch's ReduceLROnPlateau.
    """

    kind: Literal["plateau"] = "plateau"
    factor: Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)] = 0.1
    patience: Share = 0.1
    cooldown: Share = 0.0
    threshold: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1e-4
    threshold_mode: Literal["rel", "abs"] = "rel"
    min_factor: Share = 0.0
    flavour: Flavour = "torch"

    law = "times factor, whenever more than patience evaluations in a row brought nothing better"
    source = "ReduceLROnPlateau of torch, of Keras, of Paddle"
    also = ("ReduceLROnPlateau", "ReduceOnPlateau")
    lengths = ("patience", "cooldown")
    refuses = {
        "restarts": "it is driven by the metric, not by the step",
        "reverse": "it is driven by the metric, not by the step",
    }
    ranges = {
        "factor": Choice(choices=[0.1, 0.2, 0.5]),
        "patience": FloatRange(low=0.05, high=0.2, log=False),
    }

    def body(self, t: Steps, horizon: int) -> Floats:
        """Raise Unsupported: there is no curve without metrics."""
        _ = t, horizon
        raise Unsupported("plateau follows the metric: its curve needs metrics", field="metrics")

    def rule(self, evaluations: int, direction: Direction) -> PlateauRule:
        """Start the rule for a horizon with that many evaluations of the metric."""
        return PlateauRule(self, evaluations, direction)

    def warmup_factors(self, steps: Steps, horizon: int) -> Floats:
        """Return what the warm-up multiplies the rule's factor by at each of `steps`; ones without a warm-up."""
        values = np.ones(steps.shape, dtype=np.float64)
        if self.warmup is not None:
            w = self.warmup.steps(horizon)
            rising = steps < w
            values[rising] = self.warmup.curve(steps[rising], w)
        return values

    def phrase(self) -> str:
        """Say by how much it cuts, and when."""
        return f"x{self.factor:g} on a plateau of {percent(self.patience)} of the evaluations"


class PlateauRule:
    """The running state of a `Plateau`: fed each evaluation of the metric, it knows the factor in force."""

    def __init__(self, spec: Plateau, evaluations: int, direction: Direction) -> None:
        self._spec = spec
        self._sign = 1 if direction == "minimize" else -1
        self._patience = math.floor(spec.patience * evaluations + 0.5)
        self._cooldown = math.floor(spec.cooldown * evaluations + 0.5)
        self.factor = 1.0
        """f, the multiple of the initial LR that is in force now."""
        self._best: float | None = None
        self._bad = 0
        self._cooling = 0

    def feed(self, metric: float) -> float:
        """Take one evaluation of the metric and return the factor in force from now on."""
        {"torch": self._as_torch, "keras": self._as_keras, "paddle": self._as_paddle}[self._spec.flavour](metric)
        return self.factor

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint has to keep: plain numbers and None."""
        return {"factor": self.factor, "best": self._best, "bad": self._bad, "cooling": self._cooling}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned."""
        self.factor, self._best = state["factor"], state["best"]
        self._bad, self._cooling = state["bad"], state["cooling"]

    def _as_torch(self, metric: float) -> None:
        self._judge(metric)
        if self._cooling > 0:
            self._cooling -= 1
            self._bad = 0
        if self._bad > self._patience:
            self._cut()

    def _as_keras(self, metric: float) -> None:
        if self._cooling > 0:
            self._cooling -= 1
            self._bad = 0
        self._judge(metric)
        if self._cooling > 0:
            self._bad = 0
        elif self._bad > 0 and self._bad >= self._patience:
            self._cut()

    def _as_paddle(self, metric: float) -> None:
        if self._cooling > 0:
            self._cooling -= 1
            return
        self._judge(metric)
        if self._bad > self._patience:
            self._cut()

    def _judge(self, metric: float) -> None:
        if self._is_better(metric):
            self._best, self._bad = metric, 0
        else:
            self._bad += 1

    def _is_better(self, metric: float) -> bool:
        if self._best is None:
            return not math.isnan(metric)
        if self._spec.threshold_mode == "rel":
            bound = self._best * (1 - self._sign * self._spec.threshold)
        else:
            bound = self._best - self._sign * self._spec.threshold
        return self._sign * metric < self._sign * bound

    def _cut(self) -> None:
        lower = max(self.factor * self._spec.factor, self._spec.min_factor)
        if self.factor - lower > LEAST_CUT:
            self.factor = lower
        self._cooling, self._bad = self._cooldown, 0


def plateau_factors(
    schedule: Plateau, horizon: int, metrics: Sequence[float], direction: Direction = "minimize"
) -> Floats:
    """Return f for each step of a horizon whose evaluations, spread evenly over the steps, gave `metrics`.

    The factor of a step is the one in force before the evaluation at its end is fed.

    Raises:
        InvalidSpec: no metrics, or more of them than steps (field `metrics`).
    """
    if not 1 <= len(metrics) <= horizon:
        raise InvalidSpec(f"give 1 to {horizon} metrics, one for each evaluation", field="metrics")
    rule = schedule.rule(len(metrics), direction)
    in_force = np.array([1.0, *(rule.feed(metric) for metric in metrics)])
    steps = np.arange(horizon, dtype=np.int64)
    return np.asarray(in_force[steps * len(metrics) // horizon] * schedule.warmup_factors(steps, horizon))
