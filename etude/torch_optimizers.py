"""What makes the optimizer of each kind: torch's own where torch has it, else that of a package.

The packages are the extra `optimizers`, imported when an optimizer of theirs is built.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import torch
from torch.optim import Optimizer

from search_spaces.optimizers import (
    SGD,
    Adadelta,
    Adafactor,
    Adagrad,
    Lion,
    Muon,
    NAdam,
    NAdamW,
    Prodigy,
    RMSprop,
    ScheduleFreeAdamW,
    ScheduleFreeSGD,
    SparseAdam,
)
from search_spaces.optimizers import Optimizer as Spec
from search_spaces.problems import Unsupported

from .torch_muon import Groups, MuonWithAdamW

Builder = Callable[[Any, Groups], Optimizer]

DISTRIBUTIONS = {
    "pytorch_optimizer": "pytorch-optimizer",
    "prodigyopt": "prodigyopt",
    "schedulefree": "schedulefree",
}
"""The packages of the extra `optimizers`, by the module that is imported."""


def _sgd(spec: SGD, groups: Groups) -> Optimizer:
    sgd = torch.optim.SGD(groups, momentum=spec.momentum, nesterov=spec.nesterov, weight_decay=spec.weight_decay)
    if spec.momentum > 0:
        sgd.register_step_post_hook(_merge_sparse_momentum)
    return sgd


def _merge_sparse_momentum(sgd: Optimizer, *_: object) -> None:
    """Merge equal rows of sparse momenta: torch appends the gradient's rows to them, more with every update."""
    for state in sgd.state.values():
        momentum = state.get("momentum_buffer")
        if momentum is not None and momentum.is_sparse:
            state["momentum_buffer"] = momentum.coalesce()


def _adagrad(spec: Adagrad, groups: Groups) -> Optimizer:
    return torch.optim.Adagrad(
        groups, lr_decay=spec.lr_decay, initial_accumulator_value=spec.initial_accumulator_value, eps=spec.eps,
        weight_decay=spec.weight_decay,
    )  # fmt: skip


def _rmsprop(spec: RMSprop, groups: Groups) -> Optimizer:
    return torch.optim.RMSprop(
        groups, alpha=spec.alpha, eps=spec.eps, momentum=spec.momentum, centered=spec.centered,
        weight_decay=spec.weight_decay,
    )  # fmt: skip


def _like_adam(kind: Callable[..., Optimizer], **options: Any) -> Builder:
    """Return the builder of an optimizer that takes Adam's numbers, and these options."""

    def build(spec: Any, groups: Groups) -> Optimizer:
        return kind(groups, **adam_options(spec), **options)

    return build


def adam_options(spec: Any) -> dict[str, Any]:
    """Return the numbers that Adam and its relatives share, as torch names them."""
    return {"betas": (spec.beta1, spec.beta2), "eps": spec.eps, "weight_decay": spec.weight_decay}


def _nadam(spec: NAdam | NAdamW, groups: Groups) -> Optimizer:
    decoupled = spec.kind == "nadamw"
    return torch.optim.NAdam(
        groups, **adam_options(spec), momentum_decay=spec.momentum_decay, decoupled_weight_decay=decoupled
    )


def _adadelta(spec: Adadelta, groups: Groups) -> Optimizer:
    return torch.optim.Adadelta(groups, rho=spec.rho, eps=spec.eps, weight_decay=spec.weight_decay)


def _sparse_adam(spec: SparseAdam, groups: Groups) -> Optimizer:
    return torch.optim.SparseAdam(groups, betas=(spec.beta1, spec.beta2), eps=spec.eps)


def _adafactor(spec: Adafactor, groups: Groups) -> Optimizer:
    return torch.optim.Adafactor(
        groups, beta2_decay=spec.beta2_decay, d=spec.clipping, weight_decay=spec.weight_decay
    )  # fmt: skip


def _muon(spec: Muon, groups: Groups) -> Optimizer:
    muon = {
        "momentum": spec.momentum,
        "nesterov": spec.nesterov,
        "ns_steps": spec.ns_steps,
        "adjust_lr_fn": spec.adjust,
        "weight_decay": spec.weight_decay,
    }
    return MuonWithAdamW(groups, muon=muon, adamw=adam_options(spec))


def _adabound(spec: Any, groups: Groups) -> Optimizer:
    bound: Callable[..., Optimizer] = package("pytorch_optimizer", spec).AdaBound
    options = {"final_lr": spec.final_lr, "gamma": spec.gamma, "ams_bound": spec.kind == "amsbound"}
    # The catalogue's decay is the L2 of the authors' code, not this package's decoupled default.
    return bound(groups, **adam_options(spec), **options, weight_decouple=False)


def _lion(spec: Lion, groups: Groups) -> Optimizer:
    lion: Callable[..., Optimizer] = package("pytorch_optimizer", spec).Lion
    betas = (spec.beta1, spec.beta2)
    return lion(groups, betas=betas, weight_decay=spec.weight_decay)


def _prodigy(spec: Prodigy, groups: Groups) -> Optimizer:
    prodigy: Callable[..., Optimizer] = package("prodigyopt", spec).Prodigy
    # Given by group, the weight decay is the same; given as an option, the package prints a line about it.
    decaying = [{"weight_decay": spec.weight_decay, **group} for group in groups]
    betas = (spec.beta1, spec.beta2)
    return prodigy(decaying, betas=betas, eps=spec.eps, d_coef=spec.d_coef, safeguard_warmup=spec.safeguard_warmup)


def _schedule_free_sgd(spec: ScheduleFreeSGD, groups: Groups) -> Optimizer:
    free = package("schedulefree", spec).SGDScheduleFree
    return _training(free(groups, momentum=spec.momentum, weight_decay=spec.weight_decay))


def _schedule_free_adamw(spec: ScheduleFreeAdamW, groups: Groups) -> Optimizer:
    free = package("schedulefree", spec).AdamWScheduleFree
    return _training(free(groups, **adam_options(spec)))


def _training(optimizer: Any) -> Optimizer:
    """Put a Schedule-Free optimizer into training mode: the loop of every other optimizer serves for it, too."""
    optimizer.train()
    made: Optimizer = optimizer
    return made


def package(module: str, spec: Spec) -> ModuleType:
    """Import a package of the extra `optimizers`.

    Raises:
        Unsupported: it is not installed; the message says what to install.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        needed = f"{spec.kind} needs the package {DISTRIBUTIONS[module]}: pip install 'etude[optimizers]'"
        raise Unsupported(needed, field="optimizer.kind") from None


BUILDERS: Mapping[str, Builder] = {
    "sgd": _sgd,
    "adagrad": _adagrad,
    "rmsprop": _rmsprop,
    "adam": _like_adam(torch.optim.Adam),
    "amsgrad": _like_adam(torch.optim.Adam, amsgrad=True),
    "adamw": _like_adam(torch.optim.AdamW),
    "nadam": _nadam,
    "nadamw": _nadam,
    "radam": _like_adam(torch.optim.RAdam),
    "adamax": _like_adam(torch.optim.Adamax),
    "adadelta": _adadelta,
    "sparse_adam": _sparse_adam,
    "adafactor": _adafactor,
    "muon": _muon,
    "adabound": _adabound,
    "amsbound": _adabound,
    "lion": _lion,
    "prodigy": _prodigy,
    "schedule_free_sgd": _schedule_free_sgd,
    "schedule_free_adamw": _schedule_free_adamw,
}
"""What makes the optimizer of each kind from its spec and torch's parameter groups, each with its LR."""
