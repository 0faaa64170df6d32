"""`plateau` as text for torch: ReduceLROnPlateau, its arguments turned so that every flavour decides as ours."""

from __future__ import annotations

from ..candidate import Candidate
from ..schedules import Plateau, Schedule
from ..schedules.plateau import LEAST_CUT
from .factor import warmup_lines
from .optimizers import optimizer_classes, optimizer_imports, optimizer_lines
from .text import call, indented

Lines = list[str]

BLIND = [
    "class BlindInCooldown(lr_scheduler.ReduceLROnPlateau):",
    *indented(['"""Does not look at the metric during the cooldown, as Paddle does."""', ""]),
    *indented(["def step(self, metrics, epoch=None):"]),
    *indented(["if not self.in_cooldown:", "    super().step(metrics)", "    return"], 2),
    *indented(["self.cooldown_counter -= 1", "self.last_epoch += 1"], 2),
]

IN_FORCE = [
    "def put_in_force(scheduler):",
    *indented(['"""Give the next update what the plateau has decided after the scheduler had already set its LR."""']),
    *indented(
        ["for group, base, factor in zip(scheduler.optimizer.param_groups, scheduler.base_lrs, scheduler.lr_lambdas):"]
    ),
    *indented(['group["lr"] = base * factor(scheduler.last_epoch)'], 2),
]
"""For the trainers that evaluate after they have stepped the scheduler of the updates."""


def plateau_blocks(candidate: Candidate, schedule: Plateau, horizon: int, mode: str) -> tuple[Lines, list[Lines]]:
    """Return imports and functions of a plateau's text; `mode` is min or max."""
    imports = ["import math", "", *optimizer_imports(candidate.optimizer)]
    blind = [BLIND] if schedule.flavour == "paddle" and schedule.cooldown else []
    blind += optimizer_classes(candidate.optimizer)
    if schedule.warmup is None:
        return imports, [*blind, _plain(candidate, schedule, mode)]
    rise = warmup_lines(schedule.warmup, schedule.warmup.steps(horizon))
    return imports, [*blind, rise, _warmed(candidate, schedule, mode)]


def is_warmed_plateau(schedule: Schedule) -> bool:
    """Tell whether the text has two schedulers: that of the updates and the plateau."""
    return isinstance(schedule, Plateau) and schedule.warmup is not None


def _plain(candidate: Candidate, schedule: Plateau, mode: str) -> Lines:
    lowest = f'[{schedule.min_factor!r} * group["lr"] for group in optimizer.param_groups]'
    least = repr(LEAST_CUT * candidate.initial_lr)
    return [
        f'def build(params, evaluations, mode="{mode}"):',
        *indented(['"""Return the optimizer and its scheduler.', ""]),
        *indented(["`evaluations` is how often the metric is evaluated in the whole training:"]),
        *indented(["call scheduler.step(metric) after each of them, and at no other time.", '"""']),
        *indented([*_groups(candidate), *_lengths(schedule)]),
        *indented([f"scheduler = {_rule(schedule, 'optimizer', lowest, least)}", "return optimizer, scheduler"]),
    ]


def _warmed(candidate: Candidate, schedule: Plateau, mode: str) -> Lines:
    rule = _rule(schedule, "carrier", repr(schedule.min_factor), repr(LEAST_CUT))
    return [
        f'def build(params, evaluations, mode="{mode}"):',
        *indented(['"""Return the optimizer, the scheduler of the updates and the plateau.', ""]),
        *indented(
            ["`evaluations` is how often the metric is evaluated in the whole training. After each of them call"]
        ),
        *indented(["plateau.step(metric), then scheduler.step(); after every other update scheduler.step() alone."]),
        *indented(['"""', *_groups(candidate), *_lengths(schedule)]),
        *indented(["carrier = torch.optim.SGD([torch.zeros(1)], lr=1.0)  # its LR is the plateau's factor"]),
        *indented([f"plateau = {rule}"]),
        *indented(["scheduler = lr_scheduler.LambdaLR("]),
        *indented(['optimizer, lambda step: rise(step) * carrier.param_groups[0]["lr"]'], 2),
        *indented([")", "return optimizer, scheduler, plateau"]),
    ]


def _groups(candidate: Candidate) -> Lines:
    ratios = 'params = [{**group, "lr": INITIAL_LR * LR_RATIOS.get(group.get("name"), 1.0)} for group in params]'
    return [
        *([ratios] if candidate.lr_ratios else []),
        *optimizer_lines(candidate.optimizer),
    ]


def _lengths(schedule: Plateau) -> Lines:
    """Return the lines for patience and cooldown: Keras counts both one less than torch."""
    lines = [
        f"patience = math.floor({schedule.patience!r} * evaluations + 0.5)",
        f"cooldown = math.floor({schedule.cooldown!r} * evaluations + 0.5)",
    ]
    if schedule.flavour == "keras":
        lines.append("patience, cooldown = max(patience - 1, 0), max(cooldown - 1, 0)  # as Keras counts them")
    return lines


def _rule(schedule: Plateau, optimizer: str, lowest: str, least: str) -> str:
    blind = schedule.flavour == "paddle" and schedule.cooldown
    name = "BlindInCooldown" if blind else "lr_scheduler.ReduceLROnPlateau"
    arguments = [
        ("", optimizer), ("mode", "mode"), ("factor", repr(schedule.factor)), ("patience", "patience"),
        ("cooldown", "cooldown"), ("threshold", repr(schedule.threshold)),
        ("threshold_mode", repr(schedule.threshold_mode)), ("min_lr", lowest), ("eps", least),
    ]  # fmt: skip
    return call(name, arguments)
