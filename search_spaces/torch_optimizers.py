"""The optimizers that torch has, by torch's parameters and torch's defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from .optimizer import ADAM_LR, BETA1, BETA2, COUPLED_DECAY, DECOUPLED_DECAY, Beta, Decay, Optimizer, Positive
from .ranges import AnyRange, Choice, FloatRange, Scalar
from .searched import refuse

ADAM_RANGES: Mapping[str, AnyRange] = {"beta1": BETA1, "beta2": BETA2, "weight_decay": COUPLED_DECAY}
ADAMW_RANGES: Mapping[str, AnyRange] = {"beta1": BETA1, "beta2": BETA2, "weight_decay": DECOUPLED_DECAY}


class SGD(Optimizer):
    """Stochastic gradient descent, with torch's defaults: no momentum, no weight decay. Decay is L2."""

    kind: Literal["sgd"] = "sgd"
    momentum: Beta = 0.0
    nesterov: bool = False
    """Whether the gradient is taken ahead of the momentum; needs one."""
    weight_decay: Decay = 0.0

    title = "SGD"
    origin = "torch.optim.SGD"
    sparse = True
    lr_range = FloatRange(low=1e-3, high=1.0, log=True)
    ranges: ClassVar[Mapping[str, AnyRange]] = {
        "momentum": FloatRange(low=0.8, high=0.99, one_minus=True),
        "nesterov": Choice(choices=[False, True]),
        "weight_decay": FloatRange(low=1e-6, high=1e-2, log=True),
    }

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> SGD:
        if self.nesterov and self.momentum == 0:
            raise refuse("nesterov", "nesterov needs a momentum above 0")
        return self

    @classmethod
    def is_active(cls, name: str, drawn: Mapping[str, Scalar]) -> bool:
        """Leave `nesterov` out where there is no momentum."""
        return name != "nesterov" or bool(drawn.get("momentum", cls.model_fields["momentum"].default))


class RMSprop(Optimizer):
    """Gradients over a running root mean square."""

    kind: Literal["rmsprop"] = "rmsprop"
    alpha: Beta = 0.99
    """Memory of the running mean square."""
    eps: Positive = 1e-8
    momentum: Beta = 0.0
    centered: bool = False
    weight_decay: Decay = 0.0

    title = "RMSprop"
    origin = "torch.optim.RMSprop"
    lr_range = FloatRange(low=1e-5, high=1e-2, log=True)
    ranges: ClassVar[Mapping[str, AnyRange]] = {
        "alpha": Choice(choices=[0.9, 0.99]),
        "momentum": Choice(choices=[0.0, 0.9]),
        "weight_decay": COUPLED_DECAY,
    }


class Adam(Optimizer):
    """Adaptive moments; weight decay is L2, added to the gradient."""

    kind: Literal["adam"] = "adam"
    beta1: Beta = 0.9
    beta2: Beta = 0.999
    eps: Positive = 1e-8
    weight_decay: Decay = 0.0

    title = "Adam"
    origin = "torch.optim.Adam"
    lr_range = ADAM_LR
    ranges: ClassVar[Mapping[str, AnyRange]] = ADAM_RANGES


class AdamW(Optimizer):
    """Adam with weight decay apart from the gradient: weights shrink by lr * weight_decay a step."""

    kind: Literal["adamw"] = "adamw"
    beta1: Beta = 0.9
    beta2: Beta = 0.999
    eps: Positive = 1e-8
    weight_decay: Decay = 0.01

    title = "AdamW"
    origin = "torch.optim.AdamW"
    lr_range = ADAM_LR
    ranges: ClassVar[Mapping[str, AnyRange]] = ADAMW_RANGES


class AMSGrad(Optimizer):
    """Adam with the largest second moment seen so far; weight decay is L2."""

    kind: Literal["amsgrad"] = "amsgrad"
    beta1: Beta = 0.9
    beta2: Beta = 0.999
    eps: Positive = 1e-8
    weight_decay: Decay = 0.0

    title = "AMSGrad"
    origin = "torch.optim.Adam(amsgrad=True)"
    lr_range = ADAM_LR
    ranges: ClassVar[Mapping[str, AnyRange]] = ADAM_RANGES


class Adagrad(Optimizer):
    """Gradients over the root of the sum of all squares so far: its own decay is built in. Decay is L2."""

    kind: Literal["adagrad"] = "adagrad"
    lr_decay: Decay = 0.0
    """Per update, on top of the schedule; best left at 0."""
    initial_accumulator_value: Decay = 0.0
    eps: Positive = 1e-10
    weight_decay: Decay = 0.0

    title = "Adagrad"
    origin = "torch.optim.Adagrad"
    sparse = True
    lr_range = FloatRange(low=1e-3, high=1e-1, log=True)
    ranges: ClassVar[Mapping[str, AnyRange]] = {"weight_decay": COUPLED_DECAY}


class NAdam(Optimizer):
    """Adam with Nesterov's momentum; weight decay is L2."""

    kind: Literal["nadam"] = "nadam"
    beta1: Beta = 0.9
    beta2: Beta = 0.999
    eps: Positive = 1e-8
    momentum_decay: Decay = 4e-3
    weight_decay: Decay = 0.0

    title = "NAdam"
    origin = "torch.optim.NAdam"
    lr_range = ADAM_LR
    ranges: ClassVar[Mapping[str, AnyRange]] = ADAM_RANGES


class NAdamW(Optimizer):
    """NAdam with weight decay apart from the gradient; the decay's default is AdamW's."""

    kind: Literal["nadamw"] = "nadamw"
    beta1: Beta = 0.9
    beta2: Beta = 0.999
    eps: Positive = 1e-8
    momentum_decay: Decay = 4e-3
    weight_decay: Decay = 0.01

    title = "NAdamW"
    origin = "torch.optim.NAdam(decoupled_weight_decay=True)"
    lr_range = ADAM_LR
    ranges: ClassVar[Mapping[str, AnyRange]] = ADAMW_RANGES


class RAdam(Optimizer):
    """Adam with its variance rectified, a warm-up of its own; weight decay is L2."""

    kind: Literal["radam"] = "radam"
    beta1: Beta = 0.9
    beta2: Beta = 0.999
    eps: Positive = 1e-8
    weight_decay: Decay = 0.0

    title = "RAdam"
    origin = "torch.optim.RAdam"
    lr_range = ADAM_LR
    ranges: ClassVar[Mapping[str, AnyRange]] = {"weight_decay": COUPLED_DECAY}


class Adamax(Optimizer):
    """Adam by the largest gradient in place of the second moment; weight decay is L2."""

    kind: Literal["adamax"] = "adamax"
    beta1: Beta = 0.9
    beta2: Beta = 0.999
    eps: Positive = 1e-8
    weight_decay: Decay = 0.0

    title = "Adamax"
    origin = "torch.optim.Adamax"
    lr_range = ADAM_LR
    ranges: ClassVar[Mapping[str, AnyRange]] = {"weight_decay": COUPLED_DECAY}


class Adadelta(Optimizer):
    """Steps in the unit of the weights: the LR is a multiplier near 1. Decay is L2."""

    kind: Literal["adadelta"] = "adadelta"
    rho: Beta = 0.9
    """Memory of the running mean squares."""
    eps: Positive = 1e-6
    weight_decay: Decay = 0.0

    title = "Adadelta"
    origin = "torch.optim.Adadelta"
    lr_range = FloatRange(low=0.1, high=10.0, log=True)
    ranges: ClassVar[Mapping[str, AnyRange]] = {"weight_decay": COUPLED_DECAY}


class SparseAdam(Optimizer):
    """Adam that touches only the rows that have a gradient: for sparse gradients only."""

    kind: Literal["sparse_adam"] = "sparse_adam"
    beta1: Beta = 0.9
    beta2: Beta = 0.999
    eps: Positive = 1e-8

    title = "SparseAdam"
    origin = "torch.optim.SparseAdam"
    sparse = True
    dense = False
    lr_range = FloatRange(low=1e-4, high=1e-2, log=True)


class Adafactor(Optimizer):
    """Second moments by rows and columns; its step is relative to the weights and capped by 1/sqrt(t)."""

    kind: Literal["adafactor"] = "adafactor"
    beta2_decay: Annotated[float, Field(lt=0, allow_inf_nan=False)] = -0.8
    clipping: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 1.0
    """torch's d, at least 1: the threshold above which an update is scaled down."""
    weight_decay: Decay = 0.0

    title = "Adafactor"
    origin = "torch.optim.Adafactor"
    lr_range = FloatRange(low=1e-4, high=1e-1, log=True)
    ranges: ClassVar[Mapping[str, AnyRange]] = {"weight_decay": Choice(choices=[0.0, 1e-3, 1e-2, 1e-1])}


class Muon(Optimizer):
    """Orthogonalised momentum for matrices, AdamW for every other weight, both at the same LR and weight decay."""

    kind: Literal["muon"] = "muon"
    momentum: Beta = 0.95
    nesterov: bool = True
    ns_steps: Annotated[int, Field(ge=1, le=20)] = 5
    """Newton-Schulz iterations of an update."""
    adjust: Literal["match_rms_adamw", "original"] = "match_rms_adamw"
    """How the step of a matrix is scaled; `match_rms_adamw` makes AdamW's LR serve for both."""
    beta1: Beta = 0.9
    beta2: Beta = 0.999
    eps: Positive = 1e-8
    weight_decay: Decay = 0.1

    title = "Muon"
    origin = "torch.optim.Muon, with torch.optim.AdamW"
    lr_range = FloatRange(low=1e-4, high=3e-2, log=True)
    ranges: ClassVar[Mapping[str, AnyRange]] = {"weight_decay": FloatRange(low=1e-3, high=0.3, log=True)}
