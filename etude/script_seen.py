"""What the record of a script's trial shows: processes, optimizers, parameter groups and the curves of the LR."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class GroupSeen:
    """A parameter group of an optimizer, as it first stepped."""

    initial_lr: float | None
    """`initial_lr` of the group if a scheduler of the script set it, else its LR; None: no LR that can be read."""
    ratio: float
    """Its share of the LR: 1 for the group with the largest LR of all."""
    largest_lr: float
    """The largest LR that the script itself has set so far; 0 where none was read."""


@dataclass(frozen=True)
class OptimizerSeen:
    """An optimizer that has stepped in a process."""

    kind: str
    """Its class with its module: `torch.optim.adamw.AdamW`."""
    updates: int
    groups: tuple[GroupSeen, ...]
    resumed_step: int
    """Updates that its state had behind it as it first stepped: above 0 where the script loaded a checkpoint."""


@dataclass(frozen=True)
class ProcessSeen:
    """A process that has imported torch."""

    name: str
    """Of its files in the record directory."""
    pid: int
    arguments: tuple[str, ...]
    torch: str
    """Version of torch."""
    python: str
    """Version of Python."""
    rank: int
    local_rank: int | None
    world_size: int
    updates: int
    """Updates that this process has made."""
    base: int
    """Updates that earlier processes of its rank had made before it began to train."""
    seconds_per_step: float | None
    """Median of the seconds from one update to the next; None before the second one."""
    optimizers: tuple[OptimizerSeen, ...]
    torch_seed: int | None
    """What `torch.initial_seed()` was at the first update; None before that, and where the script has set none."""
    end: Literal["exit", "exception"] | None
    """How it ended; None while it runs, and for ever where it was killed or left by `os._exit`."""
    error: str | None
    """The last lines of the traceback that ended it."""
    misfits: tuple[str, ...]
    """What does not fit a trial, a sentence each; empty when everything does."""


@dataclass(frozen=True)
class Curves:
    """LRs of the updates of rank 0: float64 of one length, in units of the group with the largest LR."""

    own: Floats
    """What the script would have used by itself; NaN where that was not known."""
    in_force: Floats
    """What the update was made with."""
    seconds: Floats
    """Seconds since the first update of its process."""
