"""The candidate as text for Lightning: a mixin with `configure_optimizers`."""

from __future__ import annotations

from ..candidate import Candidate
from ..schedules import Plateau
from .plateau import IN_FORCE, is_warmed_plateau
from .pytorch import pytorch_blocks
from .text import indented, module

Lines = list[str]

GROUPS = [
    "def parameter_groups(module):",
    *indented(['"""Put the parameters of each submodule that LR_RATIOS names into a group, the rest into another."""']),
    *indented(["groups = {name: [] for name in [*LR_RATIOS, None]}"]),
    *indented(["for path, parameter in module.named_parameters():"]),
    *indented(['name = path.split(".")[0]'], 2),
    *indented(["groups[name if name in LR_RATIOS else None].append(parameter)"], 2),
    *indented(['return [{"params": found, "name": name or "rest"} for name, found in groups.items() if found]']),
]
EVALUATIONS = [
    "evaluations = None  # how often the metric is evaluated in the whole training: set it",
    'monitor = "val_loss"  # the metric that is followed',
    "",
]
EACH_UPDATE = '"lr_scheduler": {"scheduler": scheduler, "interval": "step", "frequency": 1}'
EACH_EVALUATION = '"lr_scheduler": {"scheduler": scheduler, "interval": "epoch", "monitor": self.monitor}'


def lightning_text(candidate: Candidate, horizon: int, mode: str) -> str:
    """Return the module's text."""
    follows = [IN_FORCE] if is_warmed_plateau(candidate.schedule) else []
    return module(*pytorch_blocks(candidate, horizon, mode), *group_blocks(candidate), *follows, _mixin(candidate))


def group_blocks(candidate: Candidate) -> list[Lines]:
    """Return the function that sorts a module's parameters into groups, where there are ratios."""
    return [GROUPS] if candidate.lr_ratios else []


def params_of(candidate: Candidate, model: str) -> str:
    """Return the text of what `build` takes from `model`."""
    return f"parameter_groups({model})" if candidate.lr_ratios else f"{model}.parameters()"


def _mixin(candidate: Candidate) -> Lines:
    schedule, params = candidate.schedule, params_of(candidate, "self")
    lines = ["class ConfiguresOptimizers:"]
    lines += indented(['"""Put it first: class Model(ConfiguresOptimizers, LightningModule)."""', ""])
    if not isinstance(schedule, Plateau):
        return [*lines, *_method(f"optimizer, scheduler = build({params})", EACH_UPDATE)]
    lines += indented(EVALUATIONS)
    if schedule.warmup is None:
        return [*lines, *_method(f"optimizer, scheduler = build({params}, self.evaluations)", EACH_EVALUATION)]
    built = f"optimizer, scheduler, self.plateau = build({params}, self.evaluations)"
    return [*lines, *_method(built, EACH_UPDATE), "", *indented(_followed())]


def _method(built: str, scheduler: str) -> Lines:
    body = [built, f'return {{"optimizer": optimizer, {scheduler}}}']
    return indented(["def configure_optimizers(self):", *indented(body)])


def _followed() -> Lines:
    return [
        "def on_validation_epoch_end(self):",
        *indented(["if not self.trainer.sanity_checking:"]),
        *indented(["self.plateau.step(self.trainer.callback_metrics[self.monitor])"], 2),
        *indented(["put_in_force(self.lr_schedulers())"], 2),
    ]
