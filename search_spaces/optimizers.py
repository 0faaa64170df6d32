"""The optimizers by `kind`: their parameters, with torch's defaults, and the ranges in which they are searched.

Nothing here trains: `etude/torch.py` builds an optimizer from its spec. The initial LR belongs to the candidate.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import Field, model_validator

from .ranges import AnyRange, Choice, FloatRange, Scalar
from .searched import Searched, refuse

Decay = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Beta = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
Eps = Annotated[float, Field(gt=0, allow_inf_nan=False)]

BETA1 = FloatRange(low=0.8, high=0.95, log=False)
BETA2 = FloatRange(low=0.9, high=0.9999, one_minus=True)
COUPLED_DECAY = Choice(choices=[0.0, 1e-5, 1e-4, 1e-3])
"""L2 added to the gradient, for optimizers that rescale it: little of it, or none."""
DECOUPLED_DECAY = FloatRange(low=1e-4, high=1.0, log=True)


class Optimizer(Searched):
    """An optimizer without its LR."""

    title: ClassVar[str]
    """Its name as its authors write it."""
    origin: ClassVar[str]
    """Where it is taken from."""
    lr_range: ClassVar[FloatRange]
    """In which the initial LR is searched."""
    sparse: ClassVar[bool] = False
    """Whether it trains on sparse gradients."""
    dense: ClassVar[bool] = True
    """Whether it trains on dense gradients."""
    constant_only: ClassVar[bool] = False
    """Whether `constant` is the only schedule that makes sense with it."""

    def words(self) -> list[str]:
        """Return its parameters as a person reads them: what is off or zero is left out."""
        values = ((name, getattr(self, name)) for name in self.parameters())
        shown = ((name.replace("_", " "), value) for name, value in values if self._is_worth_saying(name, value))
        return [name if value is True else f"{name} {value:.4g}" for name, value in shown]

    def _is_worth_saying(self, name: str, value: Any) -> bool:
        if not value:
            return False
        return name in self.ranges or value != type(self).model_fields[name].default


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
    eps: Eps = 1e-8
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
    eps: Eps = 1e-8
    weight_decay: Decay = 0.0

    title = "Adam"
    origin = "torch.optim.Adam"
    lr_range = FloatRange(low=1e-5, high=3e-2, log=True)
    ranges: ClassVar[Mapping[str, AnyRange]] = {"beta1": BETA1, "beta2": BETA2, "weight_decay": COUPLED_DECAY}


class AdamW(Optimizer):
    """Adam with weight decay apart from the gradient: weights shrink by lr * weight_decay a step."""

    kind: Literal["adamw"] = "adamw"
    beta1: Beta = 0.9
    beta2: Beta = 0.999
    eps: Eps = 1e-8
    weight_decay: Decay = 0.01

    title = "AdamW"
    origin = "torch.optim.AdamW"
    lr_range = FloatRange(low=1e-5, high=3e-2, log=True)
    ranges: ClassVar[Mapping[str, AnyRange]] = {"beta1": BETA1, "beta2": BETA2, "weight_decay": DECOUPLED_DECAY}


_Kinds = SGD | RMSprop | Adam | AdamW

AnyOptimizer = Annotated[_Kinds, Field(discriminator="kind")]
"""An optimizer of any kind, told apart by `kind`."""

OPTIMIZERS: dict[str, type[Optimizer]] = {cls.model_fields["kind"].default: cls for cls in get_args(_Kinds)}
"""Every optimizer by its kind, in the catalogue's order: that of the choices in a search, which never changes."""

BUILDABLE: frozenset[str] = frozenset({"sgd", "rmsprop", "adam", "adamw"})
"""The kinds that `etude/torch.py` builds: no other is ever proposed."""
