"""The recorded curves of other libraries, and the spec of ours that draws each."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search_spaces.modifiers import Restarts, Warmup
from search_spaces.schedules import (
    Constant,
    Cosine,
    Cyclic,
    Exponential,
    FormulaSchedule,
    InverseSqrt,
    InverseTime,
    Linear,
    Multistep,
    NaturalExponential,
    Noam,
    OneCycle,
    Piecewise,
    Plateau,
    Polynomial,
    Schedule,
    Step,
    Tanh,
    Wsd,
)

GOLDEN = Path(__file__).parent


@dataclass(frozen=True)
class Case:
    """A recorded curve, and the spec that draws its steps `first` ... `first + horizon`."""

    file: str
    schedule: Schedule
    initial_lr: float
    horizon: int
    first: int = 0


def exclusive(steps: int, horizon: int, start_factor: float = 0.0) -> Warmup:
    """A warm-up as most libraries count it: the first update has the start factor."""
    return Warmup(fraction=steps / horizon, start_factor=start_factor, inclusive=False)


def on_plateau(flavour: str) -> Plateau:
    """The plateau of the recorded cases: 100 evaluations, patience 3, cooldown 4."""
    return Plateau.model_validate({
        "kind": "plateau", "factor": 0.1, "patience": 0.03, "cooldown": 0.04, "threshold": 1e-3,
        "threshold_mode": "abs", "min_factor": 1e-3, "flavour": flavour,
    })  # fmt: skip


# timm's decay is under way when its warm-up ends, and the warm-up of tanh rises to where it is then.
WARMED_TANH = "where(t < 40, t / 40 * (1 - tanh(-7 + 10 / 3)) / 2, (1 - tanh(-7 + 10 * t / 120)) / 2)"
SIX_CYCLES = Cosine(restarts=Restarts(count=6))
ASYMMETRIC = Cyclic(floor=0.1, cycle_length=30 / 120, up_fraction=8 / 30, mode="triangular2")
SECOND_POWER = Polynomial(power=2, end_factor=1e-3, warmup=exclusive(10, 100))

CASES = [
    Case("paddle/CosineAnnealingDecay__t100_min", Cosine(end_factor=0.01), 0.1, 100),
    Case("paddle/CosineAnnealingWarmRestarts__m1", SIX_CYCLES, 0.1, 120),
    Case("paddle/CyclicLR__asym", ASYMMETRIC, 0.1, 120),
    Case("paddle/ExponentialDecay__g95", Exponential(final_factor=0.95**120), 0.5, 120),
    Case("paddle/InverseTimeDecay__g002", InverseTime(decay=0.02 * 120), 0.1, 120),
    Case("paddle/LambdaDecay__seed", FormulaSchedule(formula="0.95 ** t"), 0.5, 120),
    Case("paddle/LinearLR__decay", Linear(end_factor=0.01), 0.1, 80),
    Case("paddle/LinearWarmup__jump", FormulaSchedule(formula="where(t < 30, 0.1 + 0.4 * t / 30, 1)"), 0.1, 120),
    Case("paddle/MultiStepDecay__m4", Multistep(milestones=[m / 120 for m in (10, 35, 60, 85)], gamma=0.5), 0.1, 120),
    Case("paddle/MultiplicativeDecay__c95", Exponential(final_factor=0.95**120), 0.5, 120),
    Case("paddle/NaturalExpDecay__g001", NaturalExponential(rate=0.01 * 120), 0.1, 120),
    # Paddle's noam has LR 0 at its step 0: its step 1 is our first update.
    Case("paddle/NoamDecay__d100w100", Noam(peak=100 / 199), 0.01 / 100, 199, first=1),
    Case("paddle/OneCycleLR__cos", OneCycle(final_div_factor=0.1 / 25 / 1e-4), 0.1, 100),
    Case("paddle/PiecewiseDecay__seed", Piecewise(boundaries=[100 / 260, 200 / 260], values=[1, 0.5, 0.1]), 1.0, 260),
    Case(
        "paddle/PolynomialDecay__cycle_p05",
        Polynomial(power=0.5, end_factor=1e-3, cycle=True, cycle_length=30 / 120),
        0.1,
        120,
    ),
    Case("paddle/ReduceOnPlateau__abs_cool", on_plateau("paddle"), 0.1, 100),
    Case("paddle/StepDecay__s7g08", Step(step_size=7 / 120, gamma=0.8), 0.1, 120),
    Case("torch/ChainedScheduler__const_exp", FormulaSchedule(formula="where(t < 20, 0.1, 1) * 0.95 ** t"), 0.1, 120),
    Case("torch/ConstantLR__half40", Piecewise(boundaries=[40 / 120], values=[0.5, 1.0]), 0.5, 120),
    Case("torch/CosineAnnealingLR__t100_min", Cosine(end_factor=0.01), 0.1, 100),
    Case("torch/CosineAnnealingWarmRestarts__m1", SIX_CYCLES, 0.1, 120),
    Case("torch/CyclicLR__asym", ASYMMETRIC, 0.1, 120),
    Case("torch/ExponentialLR__seed000", Exponential(final_factor=0.99**120), 0.1, 120),
    Case("torch/LambdaLR__exp95", FormulaSchedule(formula="0.95 ** t"), 0.5, 120),
    Case("torch/LinearLR__decay", Linear(), 0.1, 80),
    Case("torch/MultiStepLR__dup", Multistep(milestones=[m / 120 for m in (20, 40, 40, 90)], gamma=0.5), 0.5, 120),
    Case("torch/MultiplicativeLR__c95", Exponential(final_factor=0.95**120), 0.5, 120),
    Case("torch/OneCycleLR__cos", OneCycle(), 0.1, 100),
    Case("torch/PolynomialLR__p1", Polynomial(power=1), 0.1, 100),
    Case("torch/ReduceLROnPlateau__abs_cool", on_plateau("torch"), 0.1, 100),
    Case("torch/SWALR__cos", FormulaSchedule(formula="0.2 + 0.8 * (1 + cos(pi * min(t / 15, 1))) / 2"), 0.1, 120),
    Case("torch/SequentialLR__linwarm_cosine", Cosine(warmup=exclusive(10, 100, start_factor=0.01)), 0.1, 100),
    Case("torch/StepLR__s30", Step(step_size=30 / 120, gamma=0.1), 0.5, 120),
    Case("transformers/constant__a", Constant(), 0.1, 130),
    Case("transformers/constant_with_warmup__a", Constant(warmup=exclusive(10, 130)), 0.1, 130),
    Case("transformers/cosine__a", Cosine(warmup=exclusive(10, 100)), 0.1, 100),
    Case(
        "transformers/cosine_warmup_with_min_lr__a",
        FormulaSchedule(formula="where(t < 10, (t + 1) / 10, 0.1 + 0.45 * (1 + cos(pi * (t - 9) / 90)))"),
        0.1,
        100,
    ),
    Case("transformers/cosine_with_min_lr__abs", Cosine(end_factor=0.02, warmup=exclusive(5, 90)), 0.5, 90),
    Case(
        "transformers/cosine_with_restarts__a",
        Cosine(restarts=Restarts(count=3), warmup=exclusive(10, 100)),
        0.1,
        100,
    ),
    Case("transformers/inverse_sqrt__a", InverseSqrt(timescale=20 / 280, warmup=exclusive(20, 300)), 0.1, 300),
    Case("transformers/linear__a", Linear(warmup=exclusive(10, 100)), 0.1, 100),
    Case("transformers/polynomial__a", SECOND_POWER, 0.1, 100),
    Case("transformers/reduce_lr_on_plateau__abs_cool", on_plateau("torch"), 0.1, 100),
    Case(
        "transformers/warmup_stable_decay__cos",
        Wsd(decay_fraction=20 / 90, shape="cosine", warmup=exclusive(10, 100)),
        0.1,
        100,
    ),
    Case("timm/cosine__prefix", Cosine(end_factor=0.01, warmup=exclusive(5, 125, start_factor=0.1)), 0.1, 125),
    Case("timm/multistep__m3", Multistep(milestones=[m / 120 for m in (29, 59, 118)], gamma=0.2), 0.1, 120),
    Case("timm/poly__p2", Polynomial(power=2, end_factor=0.01), 0.1, 120),
    Case("timm/step__fraction", FormulaSchedule(formula="0.9 ** floor(t / 13.5)"), 0.1, 120),
    Case("timm/tanh__plain", Tanh(low=-7, high=3), 0.1, 120),
    Case("timm/tanh__warm", FormulaSchedule(formula=WARMED_TANH), 0.1, 120),
    Case("timm/wsd__warm", Wsd(decay_fraction=0.2, shape="sqrt", warmup=exclusive(20, 120)), 0.1, 120),
]


def recorded(file: str) -> dict[str, Any]:
    """What the file of a case says: `params`, `lr` and where it is from."""
    document: dict[str, Any] = json.loads((GOLDEN / f"{file}.json").read_text())
    return document
