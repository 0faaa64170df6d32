"""Presets: which optimizers and schedules a study tries when it names none, by the size of its budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .model import Model
from .ranges import AnyRange, Choice, FloatRange

SMALL_BUDGET, MEDIUM_BUDGET = 16, 64
"""Trials up to which `general` stays with few kinds: from 100 trials nothing is learned about 300 pairs."""

WARMUP: dict[str, AnyRange] = {"fraction": Choice(choices=[0.0, 0.02, 0.05, 0.1])}
"""0 means none."""
WARMUP_ALWAYS: dict[str, AnyRange] = {"fraction": Choice(choices=[0.02, 0.05, 0.1])}

BY_DEFINITION_ONLY = frozenset({"piecewise", "natural_exponential", "tanh", "knots", "expression", "script"})
"""Schedules that are searched only where a study names them."""


class Preset(Model):
    """The kinds to try, in catalogue names; what cannot be built or trained on the task is left out of it."""

    optimizers: list[str]
    schedules: list[str]
    warmup: dict[str, AnyRange] = WARMUP
    restarts: dict[str, AnyRange] = {}
    lr_scale: float = 1.0
    """Multiplies the ends of every optimizer's LR range."""
    lr_ratios: dict[str, AnyRange] = {}
    """Ratios to search for parameter groups, where the task names such a group."""


def _general(budget_trials: int) -> Preset:
    optimizers, schedules = ["sgd", "adamw"], ["linear", "cosine"]
    if budget_trials > SMALL_BUDGET:
        optimizers += ["adam"]
        schedules += ["constant", "step", "exponential", "wsd", "one_cycle", "rex"]
    if budget_trials > MEDIUM_BUDGET:
        optimizers += ["rmsprop", "nadam", "lion"]
        schedules += [
            "multistep", "polynomial", "inverse_time", "inverse_sqrt", "cyclic", "plateau", "two_point",
        ]  # fmt: skip
    return Preset(optimizers=optimizers, schedules=schedules)


def _everything(_budget_trials: int) -> Preset:
    from .optimizers import OPTIMIZERS
    from .schedules import FAMILIES

    return Preset(
        optimizers=[kind for kind in OPTIMIZERS if kind != "script"],
        schedules=[kind for kind in FAMILIES if kind not in BY_DEFINITION_ONLY],
    )


def _sgd_classic(_budget_trials: int) -> Preset:
    return Preset(
        optimizers=["sgd"],
        schedules=["step", "multistep", "exponential", "linear", "polynomial", "cosine", "one_cycle"],
    )


def _adaptive(_budget_trials: int) -> Preset:
    return Preset(
        optimizers=["rmsprop", "adam", "amsgrad", "adamw", "nadam", "nadamw", "radam", "adamax", "lion"],
        schedules=["constant", "exponential", "linear", "cosine", "wsd", "rex"],
    )


def _transformer(_budget_trials: int) -> Preset:
    return Preset(
        optimizers=["adamw", "nadamw", "lion"],
        schedules=["linear", "cosine", "wsd", "inverse_sqrt"],
        warmup=WARMUP_ALWAYS,
    )


def _fine_tuning(_budget_trials: int) -> Preset:
    return Preset(
        optimizers=["sgd", "adamw"],
        schedules=["constant", "linear", "cosine"],
        lr_scale=0.1,
        lr_ratios={"backbone": FloatRange(low=0.01, high=1.0, log=True)},
    )


def _sparse(_budget_trials: int) -> Preset:
    return Preset(optimizers=["sgd", "adagrad", "sparse_adam"], schedules=["constant", "linear", "cosine"])


def _quick(_budget_trials: int) -> Preset:
    return Preset(optimizers=["sgd", "adamw"], schedules=["constant", "step", "cosine", "one_cycle", "wsd"])


PRESETS: Mapping[str, Callable[[int], Preset]] = {
    "general": _general,
    "everything": _everything,
    "sgd-classic": _sgd_classic,
    "adaptive": _adaptive,
    "transformer": _transformer,
    "fine-tuning": _fine_tuning,
    "sparse": _sparse,
    "quick": _quick,
}
"""Each preset by name: from the budget in trials to the kinds."""
