"""Muon for a whole model: torch's Muon for its matrices and torch's AdamW for the rest, as one optimizer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.optim import Optimizer

Groups = list[dict[str, Any]]


class MuonWithAdamW(Optimizer):
    """Two optimizers on the same parameter groups and the same state, so that a scheduler and a file see one.

    Each given group becomes one group of its matrices and one of its other parameters (biases, norms,
    convolutions), where it has both; a group's `matrices` tells which it is.
    """

    def __init__(self, groups: Groups, muon: Mapping[str, Any], adamw: Mapping[str, Any]) -> None:
        """Split the groups; `muon` and `adamw` are the options of torch's optimizers, but for the LR."""
        self._options = {True: muon, False: adamw}
        super().__init__([part for group in groups for part in _split(group)], {})
        self._parts = self._build_parts()

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Make one update of every parameter; a closure is evaluated once, before it."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for part in self._parts:
            part.step()
        return loss

    def __setstate__(self, state: dict[str, Any]) -> None:
        # `load_state_dict` ends here, with new groups and a new state that the parts have to share again.
        super().__setstate__(state)
        self._parts = self._build_parts()

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_options": self._options}

    def _build_parts(self) -> list[Optimizer]:
        kinds: dict[bool, type[Optimizer]] = {True: torch.optim.Muon, False: torch.optim.AdamW}
        parts = []
        for matrices, kind in kinds.items():
            # The dicts are handed over as they are: torch fills in its defaults and keeps these very objects.
            if own := [group for group in self.param_groups if group["matrices"] is matrices]:
                part = kind(own, **self._options[matrices])
                part.state = self.state
                parts.append(part)
        return parts


def _split(group: dict[str, Any]) -> Groups:
    params = list(group["params"])
    parts = {matrices: [param for param in params if (param.ndim == 2) is matrices] for matrices in (True, False)}
    return [{**group, "params": part, "matrices": matrices} for matrices, part in parts.items() if part]
