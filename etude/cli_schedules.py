"""Commands about schedules as text: `code` writes one for a framework, `explain` reads one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import IO, get_args

import click

from search_spaces.describe import blocks
from search_spaces.export import Framework
from search_spaces.imported import Explained, Unit
from search_spaces.imported import explain as read_schedule

from .cli_answer import updates
from .cli_options import json_option, out_file, print_json, study_name, write_out
from .client import Client
from .show import CURVE_WIDTH


@click.command(short_help="Print a study's answer as code.")
@study_name
@click.option(
    "--framework", type=click.Choice(get_args(Framework)), default="pytorch", show_default=True, help="Its library."
)
@updates
@out_file
@json_option('Print {"framework": ..., "code": ...}.')
@click.pass_obj
def code(
    url: str | None, name: str, framework: Framework, steps: int | None, output: Path | None, as_json: bool
) -> None:
    """Print Python text that builds the optimizer and the schedule that the study NAME has found.

    \b
    etude code mine --framework lightning > schedule.py
    """
    with Client(url) as client:
        text = client.code(name, framework, steps=steps)
    if as_json:
        print_json({"framework": framework, "code": text})
    else:
        write_out(text, output)


@click.command(short_help="Read another library's scheduler, and check it.")
@click.argument("file", type=click.File("r", encoding="utf-8"), default="-")
@click.option("--steps", type=click.IntRange(min=1), help="Optimizer updates of the whole training.")
@click.option("--epochs", type=click.IntRange(min=1), help="Epochs of the training.")
@click.option("--steps-per-epoch", type=click.IntRange(min=1), help="Optimizer updates of an epoch.")
@click.option("--lr", type=click.FloatRange(min=0, min_open=True), help="The initial LR, where FILE does not hold it.")
@click.option(
    "--per",
    type=click.Choice(get_args(Unit)),
    default="step",
    show_default=True,
    help="Whether scheduler.step() is called once an update or once an epoch.",
)
@json_option("Print the spec, the curve and what looks wrong as JSON.")
def explain(
    file: IO[str],
    steps: int | None,
    epochs: int | None,
    steps_per_epoch: int | None,
    lr: float | None,
    per: Unit,
    as_json: bool,
) -> None:
    """Read the scheduler that FILE (stdin, unless it is given) holds, as another library writes it.

    A constructor of torch.optim.lr_scheduler or keras.optimizers.schedules, transformers' TrainingArguments as a
    call or as JSON, timm's arguments as flags or as JSON, or a schedule of Étude's as JSON, whose lengths may be
    written as 30ep, 1500ba or 0.3dur. Nothing of it is executed.

    \b
    echo "CosineAnnealingLR(optimizer, T_max=100)" | etude explain --epochs 100 --steps-per-epoch 391
    """
    explained = read_schedule(file.read(), steps=steps, epochs=epochs, steps_per_epoch=steps_per_epoch, lr=lr, per=per)
    click.echo(explained.model_dump_json(indent=2) if as_json else _as_text(explained))


def _as_text(explained: Explained) -> str:
    schedule = explained.schedule
    fields = schedule.model_dump(mode="json", exclude_defaults=True)
    lines = [f"{explained.read_as} is {schedule.kind} here: {explained.words}"]
    lines += [json.dumps({"kind": schedule.kind, **fields}), *_curve(explained)]
    lines += [f"{finding.code}: {finding.detail}" for finding in explained.findings]
    return "\n".join(lines)


def _curve(explained: Explained) -> list[str]:
    if explained.lr is None:
        return ["Its curve follows the metric, an evaluation an epoch."]
    lr = explained.lr
    what = "LR" if explained.initial_lr is not None else "LR in units of the initial one"
    ends = f"at first {lr[0]:.3g}, at most {max(lr):.3g}, at last {lr[-1]:.3g}"
    return [blocks(lr, CURVE_WIDTH), f"{what} over {explained.horizon} {explained.unit}s: {ends}"]
