"""The optimizers by `kind`: their parameters, with their authors' defaults, and the ranges in which they are searched.

Nothing here trains: `etude/torch.py` builds an optimizer from its spec. The initial LR belongs to the candidate.
"""

from __future__ import annotations

from typing import Annotated, get_args

from pydantic import Field

from .further_optimizers import (
    AdaBound,
    AMSBound,
    Lion,
    Prodigy,
    ScheduleFreeAdamW,
    ScheduleFreeSGD,
    ScriptOptimizer,
)
from .optimizer import Optimizer
from .torch_optimizers import (
    SGD,
    Adadelta,
    Adafactor,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    AMSGrad,
    Muon,
    NAdam,
    NAdamW,
    RAdam,
    RMSprop,
    SparseAdam,
)

_Kinds = (
    SGD
    | Adagrad
    | RMSprop
    | Adam
    | AMSGrad
    | AdamW
    | NAdam
    | NAdamW
    | RAdam
    | Adamax
    | Adadelta
    | SparseAdam
    | Adafactor
    | Muon
    | AdaBound
    | AMSBound
    | Lion
    | Prodigy
    | ScheduleFreeSGD
    | ScheduleFreeAdamW
    | ScriptOptimizer
)

AnyOptimizer = Annotated[_Kinds, Field(discriminator="kind")]
"""An optimizer of any kind, told apart by `kind`."""

OPTIMIZERS: dict[str, type[Optimizer]] = {cls.model_fields["kind"].default: cls for cls in get_args(_Kinds)}
"""Every optimizer by its kind, in the catalogue's order: that of the choices in a search, which never changes."""

BUILDABLE: frozenset[str] = frozenset(OPTIMIZERS) - {"script"}
"""The kinds that `etude/torch.py` builds: no other is ever proposed."""

__all__ = [
    "BUILDABLE", "OPTIMIZERS", "SGD", "AMSBound", "AMSGrad", "AdaBound", "Adadelta", "Adafactor", "Adagrad", "Adam",
    "AdamW", "Adamax", "AnyOptimizer", "Lion", "Muon", "NAdam", "NAdamW", "Optimizer", "Prodigy", "RAdam", "RMSprop",
    "ScheduleFreeAdamW", "ScheduleFreeSGD", "ScriptOptimizer", "SparseAdam",
]  # fmt: skip
