"""The gallery of docs/: a picture of every schedule. `python -m service.gallery` draws it again."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter

from search_spaces.schedules import FAMILIES, AnySchedule, Plateau, Schedule

from .curves import as_svg, lr_curve

STEPS = 400
EXAMPLES: dict[str, str] = {
    "constant": '{"kind": "constant"}',
    "piecewise": '{"kind": "piecewise", "boundaries": [0.3, 0.6], "values": [1.0, 0.4, 0.1]}',
    "step": '{"kind": "step", "step_size": 0.25, "gamma": 0.5}',
    "multistep": '{"kind": "multistep", "milestones": [0.5, 0.75], "gamma": 0.1}',
    "exponential": '{"kind": "exponential", "final_factor": 0.01}',
    "natural_exponential": '{"kind": "natural_exponential", "rate": 3.0}',
    "inverse_time": '{"kind": "inverse_time", "decay": 20.0}',
    "linear": '{"kind": "linear", "end_factor": 0.0}',
    "polynomial": '{"kind": "polynomial", "power": 2.0, "cycle": true, "cycle_length": 0.34}',
    "cosine": '{"kind": "cosine", "warmup": {"fraction": 0.05}}',
    "noam": '{"kind": "noam", "peak": 0.1}',
    "one_cycle": '{"kind": "one_cycle", "peak_fraction": 0.3}',
    "cyclic": '{"kind": "cyclic", "floor": 0.1, "cycle_length": 0.25, "mode": "triangular2"}',
    "wsd": '{"kind": "wsd", "decay_fraction": 0.3, "shape": "sqrt", "warmup": {"fraction": 0.05}}',
    "rex": '{"kind": "rex", "beta": 0.5}',
    "tanh": '{"kind": "tanh"}',
    "two_point": '{"kind": "two_point", "peak_at": 0.1, "y1": 0.7, "delta1": 0.3, "delta2": 0.6, "delta_y": 0.3}',
    "inverse_sqrt": '{"kind": "inverse_sqrt", "timescale": 0.05, "warmup": {"fraction": 0.05}}',
    "power": '{"kind": "power", "timescale": 0.1, "exponent": 0.5}',
    "knots": '{"kind": "knots", "positions": [0.0, 0.2, 0.6, 1.0], "values": [0.1, 1.0, 0.3, 0.0]}',
    "expression": '{"kind": "expression", "formula": "0.5 * (1 + cos(pi * u)) * (1 - depth * u)", '
    '"numbers": {"depth": 0.5}}',
    "plateau": '{"kind": "plateau", "factor": 0.5, "patience": 0.05}',
}
MODIFIED: dict[str, str] = {
    "cosine with restarts": '{"kind": "cosine", "restarts": {"count": 3, "length_multiplier": 2, "peak_gamma": 0.7}}',
    "exponential reversed": '{"kind": "exponential", "final_factor": 0.001, "reverse": true}',
    "linear with a cosine warm-up": '{"kind": "linear", "warmup": {"fraction": 0.2, "shape": "cosine"}}',
}
UNDRAWN = "script"
"""The LR that a script sets by itself has no curve before it has run."""


def page() -> str:
    """Write the gallery page."""
    parts = [
        "# Gallery of schedules",
        f"Each picture has {STEPS} steps and an initial LR of 1; the spec under it is what drew it. The formulas are"
        " for the body: u = t / T, and t = 0 is the first update. `python -m service.gallery` draws this page again.",
    ]
    for kind, spec in EXAMPLES.items():
        family = FAMILIES[kind]
        also = f" Also known as: {', '.join(family.also)}." if family.also else ""
        parts += [f"## {kind}", f"`{family.law}`. Source: {family.source}.{also}", _figure(kind, spec)]
    parts.append("## Modifiers")
    for title, spec in MODIFIED.items():
        parts += [f"### {title}", _figure(title, spec)]
    parts.append(
        f"`{UNDRAWN}` is not drawn: it is {FAMILIES[UNDRAWN].law}, recorded when an unchanged training script runs."
    )
    return "\n\n".join(parts) + "\n"


def _figure(title: str, spec: str) -> str:
    return f"![{title}](images/schedules/{file_name(title)})\n\n```json\n{spec}\n```"


def file_name(title: str) -> str:
    """Name of a picture's file."""
    return f"{title.replace(' ', '-')}.svg"


def picture(title: str, spec: str) -> bytes:
    """Draw one schedule as SVG; a plateau follows a metric that stops getting better now and then."""
    schedule: Schedule = TypeAdapter(AnySchedule).validate_json(spec)
    metrics = None
    if isinstance(schedule, Plateau):
        stairs = np.repeat(np.linspace(1.0, 0.2, 8), 5)
        metrics = stairs.tolist()
    return as_svg(lr_curve(schedule, 1.0, STEPS, metrics=metrics), title)


def main(folder: Path) -> None:
    """Write the page and its pictures under `folder`."""
    images = folder / "images" / "schedules"
    images.mkdir(parents=True, exist_ok=True)
    for title, spec in (EXAMPLES | MODIFIED).items():
        (images / file_name(title)).write_bytes(picture(title, spec))
    (folder / "gallery.md").write_text(page())


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1] / "docs")
