"""The base of every optimizer's spec, and the numbers and ranges that several of them share."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field

from .ranges import Choice, FloatRange
from .searched import Searched

Decay = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Beta = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]

BETA1 = FloatRange(low=0.8, high=0.95, log=False)
BETA2 = FloatRange(low=0.9, high=0.9999, one_minus=True)
COUPLED_DECAY = Choice(choices=[0.0, 1e-5, 1e-4, 1e-3])
"""L2 added to the gradient, for optimizers that rescale it: little of it, or none."""
DECOUPLED_DECAY = FloatRange(low=1e-4, high=1.0, log=True)
ADAM_LR = FloatRange(low=1e-5, high=3e-2, log=True)


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
    one_lr: ClassVar[bool] = False
    """Whether all parameter groups must have the same LR."""
    constant_only: ClassVar[bool] = False
    """Whether `constant` (with a warm-up) is the only schedule that makes sense with it."""

    def words(self) -> list[str]:
        """Return its parameters as a person reads them: what is off or zero is left out."""
        values = ((name, getattr(self, name)) for name in self.parameters())
        shown = ((name.replace("_", " "), value) for name, value in values if self._is_worth_saying(name, value))
        return [name if value is True else f"{name} {_written(value)}" for name, value in shown]

    def _is_worth_saying(self, name: str, value: Any) -> bool:
        if not value:
            return False
        return name in self.ranges or value != type(self).model_fields[name].default


def _written(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"
