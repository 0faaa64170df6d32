"""The pictures of docs/pruning.md, from the recorded curves: `python -m benchmarks.pruning.pictures`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from service.pages.drawing import INK, new_figure, plain_log, series_colour, standing_svg

from ..picture import style
from .correlations import best_of_families
from .pools import FAMILIES
from .record import RUNGS
from .recorded import recorded, tasks
from .replay import replayed
from .rules import RULES, averaged, known

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FOLDER = Path(__file__).parents[2] / "docs" / "images" / "pruning"
SHOWN = ("linear", "wsd 20 %", "inverse_sqrt", "constant")
"""Families of the picture of curves."""
ON = "quadratic B=4"
COST = 0.4
COMPARED = ("truncated", "averaged", "rescaled", "cooldown")


def curves() -> bytes:
    """Draw four families' metrics over a training, each at its own best learning rate, raw and averaged."""
    pool = recorded(ON, "families")
    assert pool is not None
    best = dict(zip(FAMILIES, best_of_families(pool), strict=True))
    shares = np.arange(1, RUNGS + 1) / RUNGS
    figure, (left, right) = new_figure(9.0, 3.6, columns=2)
    for number, name in enumerate(SHOWN):
        place = best[name]
        colour = series_colour(number)
        left.plot(shares, pool.raw[place], color=colour, linewidth=2.4 if number == 0 else 1.5, label=name)
        seen = [averaged(pool, share)[place] for share in shares[:-1]]
        right.plot(shares[:-1], seen, color=colour, linewidth=2.4 if number == 0 else 1.5)
    low, high = known(pool.raw[[best[name] for name in SHOWN], 5:]).min(), 1.0
    for axes, title in ((left, "as it is"), (right, "at best of raw and averaged weights")):
        plain_log(axes)
        axes.set_xlim(0.1, 1)
        axes.set_ylim(0.9 * low, high)
        axes.set_xlabel("share of the training")
        axes.set_title(f"loss, {title}", color=INK, fontsize=11)
    left.legend(frameon=False, labelcolor=INK, fontsize=9)
    return standing_svg(figure, "The loss of four schedules over a training, raw and of averaged weights", style())


def false_prunes(pool_name: str = "narrow") -> bytes:
    """Draw each rule's false-prune rate on each task, with its interval."""
    pools = [(task, pool) for task in tasks() if (pool := recorded(task, pool_name)) is not None]
    figure, (axes,) = new_figure(8.0, 0.34 * len(pools) + 1.1)
    rules = [rule for rule in RULES if rule.name in COMPARED]
    for number, rule in enumerate(rules):
        found = [replayed(pool, rule, COST).false_prunes for _, pool in pools]
        heights = np.arange(len(pools)) + 0.16 * (number - 1.5)
        means = np.array([one.mean for one in found])
        spread = np.array([[one.mean - one.low, one.high - one.mean] for one in found]).T.clip(min=0)
        axes.errorbar(
            means,
            heights,
            xerr=spread,
            fmt="o",
            markersize=5,
            linewidth=1.2,
            color=series_colour(number),
            label=rule.name,
        )
    _name_rows(axes, [task for task, _ in pools])
    axes.set_xlim(-0.03, 1.03)
    axes.set_xlabel("share of the final best 5 % that is pruned")
    axes.legend(frameon=False, labelcolor=INK, fontsize=9, ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return standing_svg(figure, f"False-prune rates at cost {COST} in the {pool_name} pool, by task and rule", style())


def _name_rows(axes: Axes, names: list[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()


def main(arguments: list[str] | None = None) -> int:
    """Draw them."""
    argparse.ArgumentParser("python -m benchmarks.pruning.pictures", description=__doc__).parse_args(arguments)
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, draw in (("curves", curves), ("false_prunes", false_prunes)):
        (FOLDER / f"{name}.svg").write_bytes(draw())
        print(FOLDER / f"{name}.svg")
    return 0


if __name__ == "__main__":
    sys.exit(main())
