"""The optimizers that torch does not have, and the one that a training script brings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from .optimizer import COUPLED_DECAY, Beta, Decay, Optimizer, Positive
from .ranges import AnyRange, Choice, FloatRange

FINAL_LR = FloatRange(low=1e-2, high=1.0, log=True)
MOMENTUM = Choice(choices=[0.9, 0.95, 0.98])


class AdaBound(Optimizer):
    """Adam whose step sizes are bounded ever more tightly around `final_lr`, that is SGD in the end. Decay is L2."""

    kind: Literal["adabound"] = "adabound"
    final_lr: Positive = 0.1
    """LR of the SGD that it becomes; scales with the schedule."""
    gamma: Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)] = 1e-3
    """How fast the bounds close, per update."""
    beta1: Beta = 0.9
    beta2: Beta = 0.999
    eps: Positive = 1e-8
    weight_decay: Decay = 0.0

    title = "AdaBound"
    origin = "pytorch-optimizer; Luo et al., arXiv:1902.09843"
    lr_range = FloatRange(low=1e-4, high=1e-2, log=True)
    ranges: ClassVar[Mapping[str, AnyRange]] = {"final_lr": FINAL_LR, "weight_decay": COUPLED_DECAY}


class AMSBound(Optimizer):
    """AdaBound with the largest second moment seen so far."""

    kind: Literal["amsbound"] = "amsbound"
    final_lr: Positive = 0.1
    gamma: Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)] = 1e-3
    beta1: Beta = 0.9
    beta2: Beta = 0.999
    eps: Positive = 1e-8
    weight_decay: Decay = 0.0

    title = "AMSBound"
    origin = "pytorch-optimizer; Luo et al., arXiv:1902.09843"
    lr_range = FloatRange(low=1e-4, high=1e-2, log=True)
    ranges: ClassVar[Mapping[str, AnyRange]] = {"final_lr": FINAL_LR, "weight_decay": COUPLED_DECAY}


class Lion(Optimizer):
    """Steps by the sign of a momentum; takes an LR 3 to 10 times below AdamW's, and as much more weight decay."""

    kind: Literal["lion"] = "lion"
    beta1: Beta = 0.9
    beta2: Beta = 0.99
    weight_decay: Decay = 0.0

    title = "Lion"
    origin = "pytorch-optimizer; Chen et al., arXiv:2302.06675"
    lr_range = FloatRange(low=1e-6, high=1e-3, log=True)
    ranges: ClassVar[Mapping[str, AnyRange]] = {"weight_decay": FloatRange(low=1e-2, high=10.0, log=True)}


class Prodigy(Optimizer):
    """AdamW that estimates its own LR; the initial LR is a factor near 1 on that estimate."""

    kind: Literal["prodigy"] = "prodigy"
    beta1: Beta = 0.9
    beta2: Beta = 0.999
    eps: Positive = 1e-8
    d_coef: Positive = 1.0
    safeguard_warmup: bool = True
    """Whether a warm-up is kept from inflating the estimate."""
    weight_decay: Decay = 0.0

    title = "Prodigy"
    origin = "prodigyopt; Mishchenko and Defazio, arXiv:2306.06101"
    one_lr = True
    lr_range = FloatRange(low=0.3, high=3.0, log=True)
    ranges: ClassVar[Mapping[str, AnyRange]] = {"weight_decay": Choice(choices=[0.0, 1e-3, 1e-2, 1e-1])}


class ScheduleFreeSGD(Optimizer):
    """SGD on an average of its own iterates: needs no schedule but a warm-up, and no horizon. Decay is L2."""

    kind: Literal["schedule_free_sgd"] = "schedule_free_sgd"
    momentum: Beta = 0.9
    weight_decay: Decay = 0.0

    title = "Schedule-Free SGD"
    origin = "schedulefree; Defazio et al., arXiv:2405.15682"
    constant_only = True
    lr_range = FloatRange(low=1e-2, high=10.0, log=True)
    ranges: ClassVar[Mapping[str, AnyRange]] = {"momentum": MOMENTUM, "weight_decay": COUPLED_DECAY}


class ScheduleFreeAdamW(Optimizer):
    """AdamW on an average of its own iterates: needs no schedule but a warm-up, and no horizon."""

    kind: Literal["schedule_free_adamw"] = "schedule_free_adamw"
    beta1: Beta = 0.9
    beta2: Beta = 0.999
    eps: Positive = 1e-8
    weight_decay: Decay = 0.0

    title = "Schedule-Free AdamW"
    origin = "schedulefree; Defazio et al., arXiv:2405.15682"
    constant_only = True
    lr_range = FloatRange(low=1e-4, high=1e-2, log=True)
    ranges: ClassVar[Mapping[str, AnyRange]] = {
        "beta1": MOMENTUM,
        "weight_decay": Choice(choices=[0.0, 1e-3, 1e-2, 1e-1]),
    }


class ScriptOptimizer(Optimizer):
    """A training script's own optimizer, for tasks that are scripts only; the initial LR is a factor on its LR."""

    kind: Literal["script"] = "script"

    title = "the script's optimizer"
    origin = "the training script"
    lr_range = FloatRange(low=1e-2, high=1e2, log=True)
