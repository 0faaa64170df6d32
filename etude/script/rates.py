"""The LR of parameter groups: each group's own, its ratio to the largest, and how one is put in force and taken back.

A group's ratio is fixed as it first steps. Its own LR is what the counting pass saw as its largest (`own_lrs` of the
trial); without that, `initial_lr` of the group (a scheduler of torch has set it: the LR itself may be in a warm-up
already), else its LR. The largest is that of all groups of all optimizers: those of the counting pass, else those that
exist at the first update.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

NAN = float("nan")


class Rates:
    """Which part of the LR a group gets."""

    def __init__(self, torch: Any, own_lrs: list[list[float]] | None, misfit: Callable[[str], None]) -> None:
        self._torch = torch
        self._own_lrs = own_lrs
        self._misfit = misfit
        self._largest = max((rate for groups in own_lrs or [] for rate in groups), default=0.0)

    def ratio(self, optimizer: Any, index: int, position: int) -> float:
        """Return the ratio of group `position` of the optimizer that was the `index`-th of all to step."""
        counted = self._counted(index, position)
        if counted is not None:
            return counted / self._largest
        own = self.initial(optimizer.param_groups[position])
        if own is None:
            return 0.0
        if not self._largest:
            self._largest = max([own, *self._of_all_optimizers()])
        if self._own_lrs is not None:
            self._misfit("A parameter group stepped that the counting pass did not see.")
        if not own:
            self._misfit("A parameter group began with an LR of 0 and no other is known: its ratio is taken as 1.")
            return 1.0
        if own > self._largest:
            self._misfit("An optimizer or group that came later has a larger LR than all before: its ratio is above 1.")
        return own / self._largest

    def initial(self, group: dict[str, Any]) -> float | None:
        """Return a group's own LR to begin with; None where it has none."""
        for rate in (group.get("initial_lr"), group.get("lr")):
            value = self.number(rate, wait=True)
            if value > 0:
                return value
        return 0.0 if "lr" in group else None

    def number(self, rate: Any, *, wait: bool = False) -> float:
        """Return an LR as a float; NaN for none, and for one on a device unless it may be waited for."""
        if isinstance(rate, self._torch.Tensor):
            return float(rate) if wait or rate.device.type == "cpu" else NAN
        return float(rate) if hasattr(rate, "__float__") else NAN

    def _counted(self, index: int, position: int) -> float | None:
        optimizers = self._own_lrs or []
        if index < len(optimizers) and position < len(optimizers[index]):
            return optimizers[index][position]
        return None

    def _of_all_optimizers(self) -> list[float]:
        """Return the own LR of every group of every optimizer that exists now."""
        kind = self._torch.optim.Optimizer
        alive = [one for one in gc.get_objects() if issubclass(type(one), kind)]
        groups = [group for one in alive for group in getattr(one, "param_groups", None) or ()]
        return [self.initial(group) or 0.0 for group in groups]


class Imposed:
    """One group during one update: ours is in force, the script's own is kept."""

    def __init__(self, torch: Any, group: dict[str, Any], rate: float | None, scale: float | None) -> None:
        self._torch = torch
        self.group = group
        self._own = own = group["lr"]
        self._tensor = isinstance(own, torch.Tensor)
        self._kept: Any = own.detach().clone() if self._tensor else None
        self._put(rate, scale)
        self._ours = group["lr"]

    def _put(self, rate: float | None, scale: float | None) -> None:
        if not self._tensor:
            self.group["lr"] = rate if scale is None else self._own * scale
            return
        with self._torch.no_grad():  # in place: a captured graph reads this very memory
            if scale is None:
                self._own.fill_(rate)
            else:
                self._own.mul_(scale)

    def take_back(self) -> bool:
        """Give the script its own LR again; False, and nothing done, where it has set another one meanwhile."""
        if self.group.get("lr") is not self._ours:
            return False
        if self._tensor:
            with self._torch.no_grad():
                self._own.copy_(self._kept)
        else:
            self.group["lr"] = self._own
        return True
