"""What a search took, and the table of what all sides took."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from operator import attrgetter

from benchmarks.peers.meter import Reading
from benchmarks.peers.search import Search
from search_spaces.model import Model, Number
from workers.tasks.digits import DigitsMlp

HEADER = (
    "| side | n | search s | trials/min | epochs/min | epochs | best loss | CPU s | CPU s not training"
    " | training's share of a worker's CPU | start-up s | load before |"
)


class Taken(Model):
    """One search by one side."""

    side: str = ""
    load: float = 0.0
    """Of the machine, over the minute before."""
    search: Search
    started: float
    """Seconds until everything was up and warm."""
    seconds: float
    """From submitting the search to the last result."""
    trials: int
    epochs: float
    best: Number
    """inf where no training has run to its end."""
    cpu: float
    """Seconds of all processes during the search, of databases and services too."""
    training: float
    """CPU seconds of these inside training."""
    workers: float
    """CPU seconds of the processes that train, meanwhile."""

    @classmethod
    def between(cls, search: Search, started: float, seconds: float, cpu: float, done: Reading) -> Taken:
        """Make it from what was read before and after."""
        return cls(
            search=search, started=started, seconds=seconds, trials=round(done.trials),
            epochs=done.updates / DigitsMlp.steps_per_epoch, best=done.best, cpu=cpu, training=done.training,
            workers=done.process,
        )  # fmt: skip

    def named(self, side: str, load: float) -> Taken:
        """Say whose it is, and what load there was."""
        return self.model_copy(update={"side": side, "load": load})

    @property
    def trials_per_minute(self) -> float:
        """Pruned trials counted."""
        return 60 * self.trials / self.seconds

    @property
    def epochs_per_minute(self) -> float:
        """Of 17 updates."""
        return 60 * self.epochs / self.seconds

    @property
    def beside_training(self) -> float:
        """CPU seconds that were not training."""
        return self.cpu - self.training

    @property
    def share(self) -> float:
        """Training's share of the CPU time of the processes that train, in percent."""
        return 100 * self.training / self.workers


COLUMNS = (
    ("seconds", ".1f"), ("trials_per_minute", ".0f"), ("epochs_per_minute", ".0f"), ("epochs", ".0f"), ("best", ".4f"),
    ("cpu", ".1f"), ("beside_training", ".1f"), ("share", ".0f"), ("started", ".1f"), ("load", ".1f"),
)  # fmt: skip


def table(rows: Iterable[Taken]) -> str:
    """Return medians with the least and the most of each side, and the ratios of trials per minute."""
    by_side: dict[str, list[Taken]] = {}
    for row in rows:
        by_side.setdefault(row.side, []).append(row)
    lines = [HEADER, "|" + "---|" * (HEADER.count("|") - 1)]
    for side, taken in by_side.items():
        cells = [_spread([attrgetter(name)(one) for one in taken], digits) for name, digits in COLUMNS]
        lines.append(f"| {side} | {len(taken)} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", *_ratios(by_side)])


def _ratios(by_side: dict[str, list[Taken]]) -> Iterable[str]:
    """Yield how our sides compare with the others by trials and by epochs per minute, in each round and so in pairs."""
    ours = [side for side in by_side if side.startswith("etude")]
    for own in ours:
        for other in (side for side in by_side if side != own):
            pairs = list(zip(by_side[own], by_side[other], strict=False))
            by_trials = [_ratio(one.trials_per_minute, two.trials_per_minute) for one, two in pairs]
            by_epochs = [_ratio(one.epochs_per_minute, two.epochs_per_minute) for one, two in pairs]
            yield f"{own} / {other}: trials {_spread(by_trials, '.2f')}, epochs {_spread(by_epochs, '.2f')}"


def _ratio(own: float, other: float) -> float:
    return own / other if other else math.inf


def _spread(values: Sequence[float], digits: str) -> str:
    middle, least, most = (f"{value:{digits}}" for value in (statistics.median(values), min(values), max(values)))
    return middle if least == most else f"{middle} ({least}-{most})"
