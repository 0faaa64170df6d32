"""How each optimizer is called in torch, or in the package that has it."""

from __future__ import annotations

from typing import NamedTuple

from ..optimizers import Muon, Optimizer
from ..problems import Unsupported
from .muon import CLASS, muon_call
from .text import call, literal

RENAMED = {"clipping": "d"}
"""Parameters that torch calls otherwise."""


class Origin(NamedTuple):
    """Where an optimizer is from: its class, the module, what pip calls it, and arguments that make it ours."""

    name: str
    module: str = "torch.optim"
    package: str = ""
    fixed: tuple[tuple[str, str], ...] = ()


ORIGINS: dict[str, Origin] = {
    "sgd": Origin("SGD"),
    "adagrad": Origin("Adagrad"),
    "rmsprop": Origin("RMSprop"),
    "adam": Origin("Adam"),
    "amsgrad": Origin("Adam", fixed=(("amsgrad", "True"),)),
    "adamw": Origin("AdamW"),
    "nadam": Origin("NAdam"),
    "nadamw": Origin("NAdam", fixed=(("decoupled_weight_decay", "True"),)),
    "radam": Origin("RAdam"),
    "adamax": Origin("Adamax"),
    "adadelta": Origin("Adadelta"),
    "sparse_adam": Origin("SparseAdam"),
    "adafactor": Origin("Adafactor"),
    "adabound": Origin("AdaBound", "pytorch_optimizer", "pytorch-optimizer", (("weight_decouple", "False"),)),
    "amsbound": Origin(
        "AdaBound",
        "pytorch_optimizer",
        "pytorch-optimizer",
        (("weight_decouple", "False"), ("ams_bound", "True")),
    ),
    "lion": Origin("Lion", "pytorch_optimizer", "pytorch-optimizer"),
    "prodigy": Origin("Prodigy", "prodigyopt", "prodigyopt"),
    "schedule_free_sgd": Origin("SGDScheduleFree", "schedulefree", "schedulefree"),
    "schedule_free_adamw": Origin("AdamWScheduleFree", "schedulefree", "schedulefree"),
}
"""All but `muon`, which is two optimizers in a class of its own, and `script`, which is the script's."""


def origin_of(optimizer: Optimizer) -> Origin:
    """Return where an optimizer is from.

    Raises:
        Unsupported: it is the script's own (field `optimizer.kind`).
    """
    if optimizer.kind not in ORIGINS:
        raise Unsupported("a script's own optimizer cannot be exported", field="optimizer.kind")
    return ORIGINS[optimizer.kind]


def optimizer_imports(optimizer: Optimizer) -> list[str]:
    """Return the imports of `optimizer_call`."""
    if isinstance(optimizer, Muon):
        return ["import torch"]
    origin = origin_of(optimizer)
    further = [f"import {origin.module}  # pip install {origin.package}"] if origin.package else []
    return ["import torch", *further]


def optimizer_classes(optimizer: Optimizer) -> list[list[str]]:
    """Return the classes that the text has to define for `optimizer_call`."""
    return [CLASS] if isinstance(optimizer, Muon) else []


def optimizer_lines(optimizer: Optimizer) -> list[str]:
    """Return the lines that set `optimizer`, over `params`."""
    lines = [f"optimizer = {optimizer_call(optimizer, 'params')}"]
    if optimizer.kind.startswith("schedule_free"):
        lines.append("optimizer.train()  # and optimizer.eval() before every evaluation and checkpoint")
    return lines


def optimizer_call(optimizer: Optimizer, groups: str) -> str:
    """Return the call that builds the optimizer over `groups`, at INITIAL_LR."""
    if isinstance(optimizer, Muon):
        return muon_call(optimizer, groups)
    origin = origin_of(optimizer)
    arguments = [("", groups), ("lr", "INITIAL_LR"), *_arguments(optimizer), *origin.fixed]
    return call(f"{origin.module}.{origin.name}", arguments)


def _arguments(optimizer: Optimizer) -> list[tuple[str, str]]:
    values = {name: getattr(optimizer, name) for name in type(optimizer).model_fields if name != "kind"}
    written = []
    if "beta1" in values:
        written.append(("betas", f"({values.pop('beta1')!r}, {values.pop('beta2')!r})"))
    return written + [(RENAMED.get(name, name), literal(value)) for name, value in values.items()]
