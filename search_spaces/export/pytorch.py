"""The candidate as text for torch: `build(params)` gives the optimizer and its scheduler."""

from __future__ import annotations

from ..candidate import Candidate
from ..describe import describe
from ..schedules import Plateau
from .factor import factor_imports, factor_lines
from .native import native_lines
from .optimizers import optimizer_classes, optimizer_imports, optimizer_lines
from .plateau import plateau_blocks
from .text import comment, indented, literal, module

Lines = list[str]
Blocks = list[Lines]

SCHEDULER_IMPORT = "from torch.optim import lr_scheduler"
USE = "Call scheduler.step() once after every optimizer.step(): it counts updates, not epochs."


def pytorch_text(candidate: Candidate, horizon: int, mode: str) -> str:
    """Return the module's text; `mode` is torch's min or max, which `plateau` needs."""
    return module(*pytorch_blocks(candidate, horizon, mode))


def pytorch_blocks(candidate: Candidate, horizon: int, mode: str) -> Blocks:
    """Return the blocks of the module: comments and imports, numbers, functions."""
    if candidate.optimizer.kind == "script":
        imports, functions = _own_blocks(candidate, horizon)
    elif isinstance(candidate.schedule, Plateau):
        imports, functions = plateau_blocks(candidate, candidate.schedule, horizon, mode)
    else:
        imports, functions = _curve_blocks(candidate, horizon)
    head = [*header(candidate, horizon), "", *imports, "", SCHEDULER_IMPORT, "", *constants(candidate, horizon)]
    return [head, *functions]


def header(candidate: Candidate, horizon: int) -> Lines:
    """Return the comments on top: what it is, for how long, and how it is used."""
    return [comment(describe(candidate)), comment(f"For {horizon} optimizer updates. {USE}")]


def constants(candidate: Candidate, horizon: int) -> Lines:
    """Return the numbers that every framework's text starts with."""
    ratios = ", ".join(f"{literal(name)}: {ratio!r}" for name, ratio in sorted(candidate.lr_ratios.items()))
    named = [f"LR_RATIOS = {{{ratios}}}  # by the name of a parameter group"] if ratios else []
    return [f"TOTAL_STEPS = {horizon}", f"INITIAL_LR = {candidate.initial_lr!r}", *named]


def group_lines(candidate: Candidate) -> Lines:
    """Return the lines that give each parameter group its LR, where there are ratios."""
    if not candidate.lr_ratios:
        return []
    return ['params = [{**group, "lr": INITIAL_LR * LR_RATIOS.get(group.get("name"), 1.0)} for group in params]']


def params_line(candidate: Candidate) -> str:
    """Return what `build` says of its argument."""
    if candidate.lr_ratios:
        return '`params` are parameter groups, dictionaries with "params" and a "name" of LR_RATIOS.'
    return "`params` are what torch's optimizers take, such as model.parameters()."


def _curve_blocks(candidate: Candidate, horizon: int) -> tuple[Lines, Blocks]:
    native = native_lines(candidate, horizon)
    schedule = candidate.schedule
    imports = optimizer_imports(candidate.optimizer)
    functions = []
    if native is None:
        imports = [*factor_imports(schedule), "", *imports]
        functions = [factor_lines(schedule, horizon)]
        native = ["scheduler = lr_scheduler.LambdaLR(optimizer, lr_factor)"]
    build = [
        "def build(params):",
        *indented([f'"""Return the optimizer and its scheduler. {params_line(candidate)}"""']),
        *indented(group_lines(candidate)),
        *indented([*optimizer_lines(candidate.optimizer), *native]),
        *indented(["return optimizer, scheduler"]),
    ]
    return imports, [*optimizer_classes(candidate.optimizer), *functions, build]


def _own_blocks(candidate: Candidate, horizon: int) -> tuple[Lines, Blocks]:
    """Return imports and functions for an optimizer that the user's script has made.

    torch's own schedulers may end at an absolute LR, which would be wrong for the groups that the script has: so the
    formula is written out.
    """
    build = [
        "def build(optimizer):",
        *indented(['"""Give your own optimizer this schedule, in place of yours; its groups keep their ratios."""']),
        *indented(['largest = max(group["lr"] for group in optimizer.param_groups)']),
        *indented(["for group in optimizer.param_groups:", '    group["lr"] *= INITIAL_LR / largest']),
        *indented(["scheduler = lr_scheduler.LambdaLR(optimizer, lr_factor)", "return optimizer, scheduler"]),
    ]
    return factor_imports(candidate.schedule), [factor_lines(candidate.schedule, horizon), build]
