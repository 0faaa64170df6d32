"""The README's picture, of a real study: `python -m benchmarks.picture --task charlm`.

It starts a service and workers of its own, searches with the default study against what `--current` names, and draws
the answer: left the learning rates, right the gains over the baselines seed by seed. With `--study NAME` it draws a
study that the service at `--url` has finished.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from etude import Client
from etude.parts import Parts
from etude.ports import free_port
from etude.settings import PartsSettings, default_url
from search_spaces.problems import Problem
from search_spaces.results import Answer
from service.curves import lr_curve
from service.pages.arm_figures import draw_rows, gain_rows
from service.pages.curve_figures import Line, draw_learning_rates
from service.pages.drawing import INK, new_figure, series_colour, standing_svg

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "images" / "answer.svg"
CURRENT: dict[str, Any] = {"optimizer": {"kind": "adamw"}, "initial_lr": 0.001, "schedule": {"kind": "constant"}}
"""What many run who have not searched: AdamW as torch has it."""
COLOURS = {
    "--ink": ("#1a1d21", "#e8eaed"), "--muted": ("#5a626b", "#a3abb5"), "--rule": ("#e1e4e8", "#2f343b"),
    "--paper": ("#ffffff", "#0d1117"),
    "--series-1": ("#1b56b0", "#7db0ff"), "--series-2": ("#b04a12", "#f0a070"), "--series-3": ("#2b7a4b", "#7fd0a0"),
    "--series-4": ("#7a46a8", "#c79bf0"), "--series-5": ("#7d6608", "#e0c45c"), "--series-6": ("#a3285c", "#f090b8"),
    "--series-7": ("#44606f", "#9fbccb"), "--series-8": ("#6b4a34", "#c8a58c"),
}  # fmt: skip
"""For light and for dark pages."""


def main() -> None:
    """Make the picture and print what belongs under it."""
    options = _options()
    if options.study is not None:
        with Client(options.url) as client:
            answer = client.best(options.study)
    else:
        answer = _searched(options)
    if answer.status != "final":
        raise SystemExit(f"{answer.study} is not finished: {answer.sentence}")
    options.to.parent.mkdir(parents=True, exist_ok=True)
    options.to.write_bytes(picture(answer))
    print(f"{options.to}\n\n{caption(answer)}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="charlm", help="what is searched for (charlm)")
    parser.add_argument("--trials", type=int, default=64, help="budget of the search (64)")
    parser.add_argument("--workers", type=int, default=1, help="worker processes (1)")
    parser.add_argument("--epochs", type=int, help="horizon; default: the task's")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--study", help="draw this study, which is finished")
    parser.add_argument("--url", default=default_url(os.environ), help="of the service that has it")
    parser.add_argument("--to", type=Path, default=PICTURE, help="the SVG file to write")
    return parser.parse_args()


def _searched(options: argparse.Namespace) -> Answer:
    """Search with parts of its own, in a folder that is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="etude-picture-") as folder:
        settings = PartsSettings(data_dir=Path(folder), port=free_port(), dashboard_port=free_port())
        with Parts(settings, ROOT) as parts, Client(settings.url) as client:
            parts.start_service()
            for number in range(1, options.workers + 1):
                parts.start(f"worker-{number}", "workers", "--name", f"worker-{number}", "--tasks", options.task)
            client.submit(
                name=f"{options.task}-picture",
                task=options.task,
                trials=options.trials,
                seed=options.seed,
                current=CURRENT,
                **({} if options.epochs is None else {"horizon": {"epochs": options.epochs}}),
            )
            return client.wait(f"{options.task}-picture")


def picture(answer: Answer) -> bytes:
    """Draw an answer: learning rates on the left, gains by seed on the right."""
    places = _places(answer)
    figure, (left, right) = new_figure(10.0, 3.6, columns=2)
    draw_learning_rates(left, _lines(answer, places))
    direction = answer.metric.direction if answer.metric else "minimize"
    draw_rows(right, gain_rows(answer.evidence, places, direction), zero=True)
    right.set_xlabel(f"gain in {_metric(answer)}, better to the right")
    for name, place in places.items():
        left.plot([], [], color=series_colour(place), linewidth=2.8 if place == 0 else 1.5, label=_label(answer, name))
    left.legend(frameon=False, labelcolor=INK, fontsize=9, loc="lower left")
    return standing_svg(figure, caption(answer), style())


def _places(answer: Answer) -> dict[str, int]:
    """Give the finalist the first colour, `current` and the baselines the next; other candidates are not drawn."""
    named = [arm.name for arm in answer.evidence.arms if arm.role == "baseline"]
    named.sort(key=lambda name: name != "current")
    finalist = answer.evidence.finalist
    return {name: place for place, name in enumerate([*([] if finalist is None else [finalist]), *named])}


def _lines(answer: Answer, places: dict[str, int]) -> list[Line]:
    lines = []
    for arm in answer.evidence.arms:
        if arm.name not in places or answer.horizon is None:
            continue
        try:
            lr = np.asarray(lr_curve(arm.candidate.schedule, arm.candidate.initial_lr, answer.horizon))
        except Problem:  # what follows the metric has no curve of its own
            continue
        lines.append(Line(arm.name, places[arm.name], lr))
    return lines


def _label(answer: Answer, name: str) -> str:
    if name != answer.evidence.finalist:
        return name
    return "winner of the search" if answer.verdict == "winner" else "finalist of the search"


def _metric(answer: Answer) -> str:
    return answer.metric.name if answer.metric else "the metric"


def caption(answer: Answer) -> str:
    """Return the verdict's own words: what to do, and the difference."""
    told = [sentence.text for sentence in answer.sentences if sentence.topic in ("advice", "difference")]
    return " ".join(told) or answer.sentence


def style() -> str:
    """Return the colours of light and dark pages."""
    light, dark = ("".join(f"{name}:{pair[theme]};" for name, pair in COLOURS.items()) for theme in (0, 1))
    return (
        f":root{{{light}}}@media(prefers-color-scheme:dark){{:root{{{dark}}}}}"
        "svg{stroke-linejoin:round}text{font-family:system-ui,sans-serif}"
    )


if __name__ == "__main__":
    main()
