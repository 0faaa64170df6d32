"""Muon as text: torch's Muon for the matrices of a model and torch's AdamW for the rest, as one optimizer."""

from __future__ import annotations

from ..optimizers import Muon
from .text import call, indented

Lines = list[str]

CLASS = [
    "class MuonWithAdamW(torch.optim.Optimizer):",
    *indented(['"""torch\'s Muon on the matrices and torch\'s AdamW on all else, as one optimizer."""', ""]),
    *indented(["def __init__(self, params, lr, muon, adamw):"]),
    *indented(["params = list(params)"], 2),
    *indented(['groups = params if isinstance(params[0], dict) else [{"params": params}]'], 2),
    *indented(["self._options = {True: muon, False: adamw}"], 2),
    *indented(['super().__init__([part for group in groups for part in self._split(group)], {"lr": lr})'], 2),
    *indented(["self._build_parts()", ""], 2),
    *indented(["@staticmethod", "def _split(group):"]),
    *indented(['params = list(group["params"])'], 2),
    *indented(["for matrices in (True, False):"], 2),
    *indented(["own = [param for param in params if (param.ndim == 2) is matrices]", "if own:"], 3),
    *indented(['yield {**group, "params": own, "matrices": matrices}'], 4),
    "",
    *indented(["def _build_parts(self):"]),
    *indented(["self._parts = []"], 2),
    *indented(["for matrices, kind in ((True, torch.optim.Muon), (False, torch.optim.AdamW)):"], 2),
    *indented(['own = [group for group in self.param_groups if group["matrices"] is matrices]', "if own:"], 3),
    *indented(["part = kind(own, **self._options[matrices])  # keeps these very groups"], 4),
    *indented(["part.state = self.state", "self._parts.append(part)"], 4),
    "",
    *indented(["def __setstate__(self, state):"]),
    *indented(["super().__setstate__(state)  # load_state_dict ends here, with new groups", "self._build_parts()"], 2),
    "",
    *indented(["def step(self, closure=None):"]),
    *indented(["with torch.enable_grad():", "    loss = None if closure is None else closure()"], 2),
    *indented(["for part in self._parts:", "    part.step()", "return loss"], 2),
]


def muon_call(spec: Muon, groups: str) -> str:
    """Return the call of `CLASS` with the spec's numbers, over `groups`, at INITIAL_LR."""
    muon = [
        ("momentum", repr(spec.momentum)), ("nesterov", repr(spec.nesterov)), ("ns_steps", repr(spec.ns_steps)),
        ("adjust_lr_fn", repr(spec.adjust)), ("weight_decay", repr(spec.weight_decay)),
    ]  # fmt: skip
    adamw = [
        ("betas", f"({spec.beta1!r}, {spec.beta2!r})"), ("eps", repr(spec.eps)),
        ("weight_decay", repr(spec.weight_decay)),
    ]  # fmt: skip
    parts = [("muon", call("dict", muon)), ("adamw", call("dict", adamw))]
    return call("MuonWithAdamW", [("", groups), ("lr", "INITIAL_LR"), *parts])
