"""`etude demo`: the whole way from a submitted study to the best schedule, on real data, in a few minutes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType
from rich.text import Text

from search_spaces.results import Answer, StudyView

from .client import Client
from .parts import PartFailed, Parts
from .ports import free_port, is_free
from .settings import PartsSettings
from .show import arms_table, curve_line, sentence_lines, stdout_console, top_table

STUDY = "demo"
TASK = "digits-noisy"
TRIALS = 32
CURRENT: dict[str, Any] = {
    "optimizer": {"kind": "adam"}, "initial_lr": 0.001, "schedule": {"kind": "constant"},
}  # fmt: skip
"""What many begin with: the demo asks whether it should be changed, and what each change is worth."""
CONFIRMATION: dict[str, Any] = {"baselines": ["current"]}


def show_demo(
    settings: PartsSettings, root: Path, *, trials: int = TRIALS, workers: int = 2, console: Console | None = None
) -> Answer:
    """Start the parts on a store of the demo's own, search, confirm, print the answer, stop the parts.

    Args:
        settings: where to keep the data (in demo/<UTC time> below `data_dir`) and on which ports to serve.
        root: the checkout.
        trials: budget of the search.
        workers: how many to start.
        console: where to print; default: stdout.

    Raises:
        PartFailed: a part has ended, or the study did not come to an answer.
    """
    own = own_settings(settings)
    console = console or stdout_console()
    with Parts(own, root) as parts, Client(own.url) as client:
        _print(console, _opening(own, trials))
        parts.start_all(workers)
        study = client.submit(
            name=STUDY, task=TASK, trials=trials, current=CURRENT, confirmation=CONFIRMATION, tags=["demo"]
        )
        answer = study.wait()
        view = study.view()
        if answer.status != "final" or answer.candidate is None:
            raise PartFailed(f"the study {view.state}: {view.reason or answer.sentence}; logs: {own.logs}")
        _print(console, _closing(client, view, answer, own))
    _print(console, _farewell(own))
    return answer


def own_settings(settings: PartsSettings) -> PartsSettings:
    """Give a demo a store of its own, so that none meets another's study, and free ports for those that are taken."""
    place = settings.data_dir / "demo" / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    ports = [
        port if is_free(settings.host, port) else free_port(settings.host)
        for port in (settings.port, settings.dashboard_port)
    ]
    return replace(settings, data_dir=place, database_url=None).on_ports(*ports)


def _opening(settings: PartsSettings, trials: int) -> Iterable[RenderableType]:
    yield Text("Étude demo: which optimizer, learning rate and schedule train a small network best?", style="bold")
    yield (
        f"Task {TASK} (handwritten digits, shifted and noisy), {trials} trials, then the best two again on fresh\n"
        "seeds, against what many begin with: Adam at 0.001, constant. On two cores this takes less than a minute."
    )
    yield from _addresses(settings)
    yield ""


def _addresses(settings: PartsSettings) -> Iterable[RenderableType]:
    yield f"  service    {settings.url}/docs"
    yield f"  dashboard  {settings.dashboard_url}"
    yield f"  data, logs {_near(settings.data_dir)}"


def _closing(client: Client, view: StudyView, answer: Answer, settings: PartsSettings) -> Iterable[RenderableType]:
    assert answer.candidate is not None
    lr = client.curve(view.name)
    picture = settings.data_dir / "curve.svg"
    picture.write_bytes(client.curve_svg(view.name))
    (settings.data_dir / "answer.json").write_text(answer.model_dump_json(indent=2), encoding="utf-8")
    yield ""
    yield from sentence_lines(answer)
    yield ""
    yield curve_line(lr)
    yield Text(json.dumps(json.loads(answer.candidate.model_dump_json(exclude_none=True)), indent=2))
    yield ""
    maximize = view.direction == "maximize"
    yield top_table(client.trials(view.name, state="complete"), view.metric or "value", maximize)
    yield ""
    yield arms_table(answer)
    yield from (Text(f"Note: {note}") for note in answer.evidence.notes)
    yield ""
    yield f"curve as a picture: {_near(picture)}; the whole answer: {_near(settings.data_dir / 'answer.json')}"


def _farewell(settings: PartsSettings) -> Iterable[RenderableType]:
    yield "Served until now, all parts are stopped:"
    yield from _addresses(settings)
    yield f"To look around in it: ETUDE_DATA_DIR={_near(settings.data_dir)} etude up"


def _near(path: Path) -> str:
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def _print(console: Console, parts: Iterable[RenderableType]) -> None:
    for part in parts:
        console.print(part, soft_wrap=isinstance(part, str))
